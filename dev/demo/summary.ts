import { curlCommand, withoutQuery, type Submission, type SubmissionRequest } from './submissions.js';
import type { Terminal } from './terminal.js';
import { tally } from './verdict.js';
import { paintStatus } from './view.js';
import type { ReceivedWebhook } from './webhook-receiver.js';

/** What a reader can go on with. */
export interface Access {
  gatewayUrl: string;
  adminKey: string;
  /** what the simulator takes; a real one is not shown */
  tensorpixToken: string | null;
  tenantKey: string;
  receiverUrl: string;
}

/** What has become of each submission, and which of its webhooks came. */
export function printSummary(
  terminal: Terminal,
  submissions: readonly Submission[],
  webhooks: readonly ReceivedWebhook[],
  briefly: boolean,
): void {
  terminal.print(`\n${terminal.paint('bold', 'Summary')}\n`);
  for (const submission of submissions) {
    const { kind, job } = submission;
    const { expected, received, missing } = tally(submission, webhooks, briefly);
    const output = job.output?.url ?? job.output?.enhanced_url;
    const count = `${received.length} of ${expected.length}`;
    const lack = missing.length === 0 ? '' : `; missing: ${missing.join(', ')}`;
    const style = missing.length === 0 ? 'green' : 'red';
    terminal.print(`  ${kind.padEnd(7)} status    ${paintStatus(terminal, job.status, 0)}`);
    terminal.print(
      `          cost      ${job.cost_credits === null ? 'not reported by TensorPix' : `${job.cost_credits} Credits`}`,
    );
    terminal.print(`          output    ${output ? withoutQuery(output) : 'none'}`);
    terminal.print(
      `          webhooks  ${terminal.paint(style, count)} received: ${received.join(', ') || 'none'}${lack}\n`,
    );
  }
}

/** Each problem on a line of its own, or that there is none. */
export function printVerdict(terminal: Terminal, problems: readonly string[]): void {
  if (problems.length === 0) {
    terminal.print(terminal.paint('green', '  All is well: every webhook came, in order and with a good signature.'));
  }
  for (const problem of problems) terminal.print(terminal.paint('red', `  ${problem}`));
}

/** The addresses, the keys and a command to try next. */
export function printAccess(terminal: Terminal, access: Access, request: SubmissionRequest): void {
  terminal.print(`\n${terminal.paint('bold', 'Go on from here')}\n`);
  terminal.print(`  API docs          ${terminal.paint('cyan', `${access.gatewayUrl}/docs`)}`);
  terminal.print(`  Tenant key        ${access.tenantKey}`);
  terminal.print(`  Admin key         ${access.adminKey}`);
  terminal.print(`  TensorPix token   ${access.tensorpixToken ?? 'yours'}   for a tenant of your own`);
  terminal.print(`  Webhook receiver  ${access.receiverUrl}`);
  terminal.print('\n  Submit another job:\n');
  terminal.print(curlCommand(access.gatewayUrl, access.tenantKey, request));
}
