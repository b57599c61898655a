import type { Submission } from './submissions.js';
import { hasEnded, withoutQuery } from './submissions.js';
import type { Terminal } from './terminal.js';
import type { Judged } from './webhook-receiver.js';

const BAR_WIDTH = 28;
const STATUS_WIDTH = 12;
const TYPE_WIDTH = 15;
const NAME_WIDTH = 14;
/** Where nothing is redrawn: a line for each new status, and for each such part of the work. */
const PLAIN_STEPS = 4;

/** Shows the way of the submissions: live lines in a terminal, now and then a line elsewhere. */
export class ProgressView {
  private readonly told = new Map<string, string>();

  constructor(private readonly terminal: Terminal) {}

  update(submissions: readonly Submission[]): void {
    if (this.terminal.interactive) {
      this.terminal.show(['', ...submissions.map((submission) => this.line(submission))]);
      return;
    }
    for (const submission of submissions) this.tellNews(submission);
  }

  private tellNews(submission: Submission): void {
    const news = `${submission.job.status} ${Math.floor(fraction(submission) * PLAIN_STEPS)}`;
    if (this.told.get(submission.job.id) === news) return;
    this.told.set(submission.job.id, news);
    this.terminal.print(`${this.terminal.elapsed()}  ${this.line(submission).trim()}`);
  }

  private line(submission: Submission): string {
    const { kind, job } = submission;
    const percent = `${Math.floor(fraction(submission) * 100)} %`.padStart(5);
    const remark = job.status_reason ?? (hasEnded(submission) ? null : remaining(job.eta_seconds));
    const status = paintStatus(this.terminal, job.status, STATUS_WIDTH);
    return `         ${kind.padEnd(7)}${status}${this.bar(fraction(submission))} ${percent}${remark ? `  ${remark}` : ''}`;
  }

  private bar(done: number): string {
    const filled = Math.round(done * BAR_WIDTH);
    const [full, empty] = [filled, BAR_WIDTH - filled];
    if (!this.terminal.unicode) return `[${'#'.repeat(full)}${'.'.repeat(empty)}]`;
    return this.terminal.paint('cyan', '█'.repeat(full)) + this.terminal.paint('dim', '░'.repeat(empty));
  }
}

/** 0 to 1; an image has no progress of its own. */
function fraction({ job }: Submission): number {
  if (job.status === 'finished') return 1;
  return Math.min(1, Math.max(0, job.progress ?? 0));
}

function remaining(etaSeconds: number | null | undefined): string | null {
  if (etaSeconds == null) return null;
  const seconds = Math.ceil(etaSeconds);
  return seconds < 100 ? `ETA ${seconds} s` : `ETA ${Math.round(seconds / 60)} min`;
}

export function paintStatus(terminal: Terminal, status: string, width: number): string {
  const style = status === 'finished' ? 'green' : status === 'failed' || status === 'canceled' ? 'red' : 'yellow';
  return terminal.paint(style, status.padEnd(width));
}

export function printSubmission(terminal: Terminal, submission: Submission): void {
  const { path, httpStatus, job, sourceUrl } = submission;
  const request = `POST ${path}`.padEnd(TYPE_WIDTH + 1);
  const answer = `${httpStatus} ${job.status}`;
  terminal.print(
    `${terminal.elapsed()}  ${request} ${answer.padEnd(NAME_WIDTH)} ${terminal.paint('dim', withoutQuery(sourceUrl))}`,
  );
}

/** One webhook as it came; `name` says whose it is in the words of the client. */
export function printWebhook(terminal: Terminal, webhook: Judged): void {
  const { type, externalId, jobId, sequence, verified, elsewhere, order } = webhook;
  const name = (externalId ?? `…${jobId.slice(-8)}`).padEnd(NAME_WIDTH);
  const signature = verified
    ? terminal.paint('green', 'signature ok')
    : elsewhere
      ? terminal.paint('green', 'signature ok, with another secret of the tenant')
      : terminal.paint('red', 'SIGNATURE WRONG');
  const remark = elsewhere || order === 'in order' ? '' : `  ${terminal.paint('yellow', order)}`;
  // A test of an endpoint has none.
  const number = Number.isFinite(sequence) ? `sequence ${sequence}` : '';
  const shownType = terminal.paint('bold', type.padEnd(TYPE_WIDTH));
  terminal.print(`${terminal.elapsed()}  webhook  ${shownType} ${name} ${number}  ${signature}${remark}`);
}
