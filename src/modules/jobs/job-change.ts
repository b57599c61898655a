import { timeOrderedId } from '../../common/crypto/time-ordered-id.js';
import { isWebhookType, type NewWebhook, type WebhookType } from '../webhooks/webhook-types.js';
import type { KeyEffect } from './idempotency/idempotency.sql.js';
import { eventPrefix, type JobRecord } from './job-record.js';
import { jobSnapshot, type JobSnapshot } from './job-resource.js';
import { isTerminal, nextState } from './job-state.js';

/** A line of a job's history. Types without a webhook are internal steps, shown in `GET …/events` only. */
export interface JobEvent {
  sequence: number;
  type: string;
  data: Record<string, unknown>;
}

/** One fact: the new row, its events and its webhooks, which are committed together or not at all. */
export interface JobChange {
  before: JobRecord;
  after: JobRecord;
  events: JobEvent[];
  webhooks: NewWebhook[];
  /** what it does to the idempotency key that made the row, if there is one */
  key?: KeyEffect;
}

/** Contract, section 7. */
const MAX_BODY_BYTES = 20_000;

type Patch = Partial<Omit<JobRecord, 'id' | 'tenantId' | 'sequence' | 'updatedAt'>>;

export interface ChangeOptions {
  /** Steps that are recorded before the event of the new state. */
  steps?: { name: string; data?: Record<string, unknown> }[];
  /** Data of the event of the new state. */
  data?: Record<string, unknown>;
  /** False when the caller gets this fact as the answer to its own request. */
  notify?: boolean;
}

/**
 * Turns a patch into a change: checks the move, numbers the events, writes the webhooks. A change of state is always an
 * event, named after the state that was entered.
 *
 * @throws IllegalTransitionError
 */
export function changeJob(before: JobRecord, patch: Patch, now: Date, options: ChangeOptions = {}): JobChange {
  const prefix = eventPrefix(before.kind);
  const moved = patch.status !== undefined && patch.status !== before.status;
  const status = moved && patch.status ? nextState(before.status, patch.status) : before.status;
  const steps = [...(options.steps ?? []), ...(moved ? [{ name: status, data: options.data ?? {} }] : [])];
  const events = steps.map((step, i) => ({
    sequence: before.sequence + 1 + i,
    type: `${prefix}.${step.name}`,
    data: step.data ?? {},
  }));
  const ended = moved && isTerminal(status);
  const after: JobRecord = {
    ...before,
    ...patch,
    status,
    sequence: before.sequence + events.length,
    updatedAt: now,
    ...(ended && {
      finishedAt: now,
      etaSeconds: null,
      statusReason: null,
      dueAt: null,
      leaseToken: null,
      leaseExpiresAt: null,
    }),
  };
  const webhooks = options.notify === false ? [] : events.flatMap((event) => webhookOf(after, event, now));
  return { before, after, events, webhooks };
}

/** The change, with what it does to the key that the job was asked for with. */
export function withKey(change: JobChange, key: KeyEffect | null): JobChange {
  return key ? { ...change, key } : change;
}

function webhookOf(job: JobRecord, { type, sequence }: JobEvent, now: Date): NewWebhook[] {
  return isWebhookType(type) ? [new JobWebhook(job, type, sequence, now)] : [];
}

/** Whether a standing endpoint wants it, the statement that writes it finds out. Its body is made for those only that have a receiver. */
class JobWebhook implements NewWebhook {
  readonly id = timeOrderedId();
  readonly tenantId: string;
  readonly jobId: string;
  readonly url: string | null;
  readonly ends: boolean;

  constructor(
    private readonly job: JobRecord,
    readonly type: WebhookType,
    readonly sequence: number,
    private readonly now: Date,
  ) {
    this.tenantId = job.tenantId;
    this.jobId = job.id;
    this.url = job.callbackEvents.includes(type) ? job.callbackUrl : null;
    this.ends = isTerminal(job.status);
  }

  get body(): string {
    return webhookBody(this.type, this.now, { ...jobSnapshot(this.job), sequence: this.sequence });
  }
}

/** The body of a webhook. What makes it too large is left out, least useful first; the job's own resource has it all. */
function webhookBody(type: string, now: Date, snapshot: JobSnapshot): string {
  const write = (data: JobSnapshot) => JSON.stringify({ type, timestamp: now.toISOString(), data });
  let data = snapshot;
  let body = write(data);
  for (const lighten of LIGHTER) {
    if (Buffer.byteLength(body) < MAX_BODY_BYTES) break;
    data = lighten(data);
    body = write(data);
  }
  return body;
}

const LIGHTER: ((data: JobSnapshot) => JobSnapshot)[] = [
  (data) => ({ ...data, error: data.error && { code: data.error.code, detail: data.error.detail } }),
  (data) => ({
    ...data,
    output: data.output && 'url' in data.output ? { ...data.output, thumbnail_url: null } : data.output,
  }),
  (data) => ({ ...data, output: data.output && 'url' in data.output ? { ...data.output, url: null } : data.output }),
];
