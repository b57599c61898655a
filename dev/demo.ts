/**
 * `npm run demo` shows the whole way on one machine, with nothing but Node: a video and an image go through the gateway to
 * TensorPix (simulated, unless TENSORPIX_TOKEN is set), and each change of state comes back as a signed webhook.
 * `npm run demo -- --help` tells the flags.
 */
import { statSync } from 'node:fs';
import { gather, makeLogFile, type Cast } from './demo/cast.js';
import { Interruption, Lifetime } from './demo/lifetime.js';
import { DemoError, HELP, parseOptions, UsageError, type DemoOptions } from './demo/options.js';
import { hasEnded, imageRequest, refresh, submit, videoRequest, type Submission } from './demo/submissions.js';
import { printAccess, printSummary, printVerdict } from './demo/summary.js';
import { Terminal } from './demo/terminal.js';
import { findProblems, tally } from './demo/verdict.js';
import { printSubmission, ProgressView } from './demo/view.js';

const POLL_MS = 400;
/** Covers the first retry of a webhook, 5 s after a failure and up to 20 % more. */
const LAST_WEBHOOK_MS = 10_000;

const terminal = new Terminal(process.stdout, process.env);

/** Returns the exit code. */
async function main(): Promise<number> {
  const options = readOptions();
  if (options === null || options instanceof UsageError) {
    if (options === null) terminal.print(HELP.trimEnd());
    else console.error(options.message);
    return options === null ? 0 : 2;
  }
  const lifetime = new Lifetime();
  lifetime.watchSignals();
  const { logFile, remove } = await makeLogFile();
  let exitCode = 1;
  try {
    exitCode = await perform(options, logFile, lifetime);
  } catch (error) {
    exitCode = explain(lifetime.signal.aborted ? lifetime.signal.reason : error);
  } finally {
    await lifetime.undoAll((line) => console.error(line));
    if (exitCode === 1 && statSync(logFile).size > 0) console.error(`The gateway's log: ${logFile}`);
    else await remove();
  }
  return exitCode;
}

function readOptions(): DemoOptions | UsageError | null {
  try {
    return parseOptions(process.argv.slice(2), process.env);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
}

async function perform(options: DemoOptions, logFile: string, lifetime: Lifetime): Promise<number> {
  const deadlineMs = performance.now() + options.timeoutMs;
  terminal.print(`\n${terminal.paint('bold', 'tensorpix-gateway demo')}\n`);
  const cast = await gather(options, logFile, terminal, lifetime);
  terminal.print();
  const { client, receiver, tensorpix, gatewayUrl, adminKey, tenant } = cast;
  const video = videoRequest(options, cast.model, receiver.url, tensorpix.real);
  const image = imageRequest(options, receiver.url, tensorpix.real);
  const submissions = await Promise.all(
    [video, image].map(async (request) => {
      const submission = await submit(client, request);
      printSubmission(terminal, submission);
      return submission;
    }),
  );
  await follow(submissions, cast, deadlineMs, lifetime);
  terminal.show([]);
  printSummary(terminal, submissions, receiver.received, tensorpix.real);
  const problems = findProblems(submissions, receiver.received, tensorpix.real);
  if (performance.now() > deadlineMs) problems.unshift(`not all was done within ${options.timeoutMs / 1_000} s`);
  printVerdict(terminal, problems);
  if (problems.length > 0) return 1;
  const tensorpixToken = tensorpix.real ? null : tensorpix.token;
  const access = { gatewayUrl, adminKey, tensorpixToken, tenantKey: tenant.key, receiverUrl: receiver.url };
  printAccess(terminal, access, video);
  if (!options.once) return stayUp(lifetime);
  terminal.print('\n  With --once all of this ends now; without, it stays up and shows what you submit.');
  return 0;
}

/** Polls, as a client without webhooks would, until all has ended and been told, or until it is too late. */
async function follow(
  submissions: readonly Submission[],
  { client, receiver, tensorpix }: Cast,
  deadlineMs: number,
  lifetime: Lifetime,
): Promise<void> {
  const view = new ProgressView(terminal);
  let waitUntilMs = deadlineMs;
  for (;;) {
    await Promise.all(submissions.map((submission) => refresh(client, submission)));
    view.update(submissions);
    if (submissions.every(hasEnded)) {
      waitUntilMs = Math.min(waitUntilMs, performance.now() + LAST_WEBHOOK_MS);
      const tallies = submissions.map((submission) => tally(submission, receiver.received, tensorpix.real));
      if (tallies.every(({ missing }) => missing.length === 0)) return;
    }
    if (performance.now() > waitUntilMs) return;
    await lifetime.pause(POLL_MS);
  }
}

async function stayUp(lifetime: Lifetime): Promise<number> {
  terminal.print(`\n  Its webhooks will appear below. ${terminal.paint('bold', 'Ctrl-C')} stops everything.\n`);
  const reason = await lifetime.ended();
  if (!(reason instanceof Interruption)) throw reason;
  terminal.print('\nStopping …');
  return 0;
}

function explain(error: unknown): number {
  terminal.show([]);
  if (error instanceof Interruption) {
    terminal.print('\nStopping …');
    return error.exitCode;
  }
  console.error(error instanceof DemoError ? `\n${error.message}` : error);
  return 1;
}

process.exitCode = await main();
