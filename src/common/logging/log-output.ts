import { constants, fstatSync, openSync } from 'node:fs';
import { pino, type DestinationStream } from 'pino';

const STDOUT = 1;
/** Lines that wait for their reader; what comes beyond is dropped. Bytes. */
const MAX_WAITING_BYTES = 1_048_576;
/** After which what waits is tried again, if no other line has. */
const RETRY_MS = 50;
/** For how long the end of the process waits for whoever reads, and how often it looks. */
const EXIT_PATIENCE_MS = 1_000;
const RETRY_AT_EXIT_MS = 10;

/**
 * Standard output, written to at once: asynchronous lines are lost by a crash. A pipe whose reader stands still must not keep the
 * process waiting with it, all calls and leases included; and what cannot be written is no reason to end it.
 *
 * @param dropped called for each line that is lost
 */
export function openLogOutput(dropped: () => void): DestinationStream {
  const output = pino.destination({
    dest: target(),
    sync: true,
    retryEAGAIN: () => false,
    maxLength: MAX_WAITING_BYTES,
  });
  let retrying: NodeJS.Timeout | null = null;
  let waits = false;
  const countDropped = (): boolean => {
    dropped();
    return true;
  };
  const retry = (): void => {
    retrying = null;
    waits = false;
    output.write('');
  };
  output.on('error', ({ code }: NodeJS.ErrnoException) => {
    waits = code !== 'EPIPE';
    if (waits) retrying ??= setTimeout(retry, RETRY_MS).unref();
    // Its reader has gone, and pino writes nothing any more.
    else output.write = countDropped;
  });
  output.on('drop', countDropped);
  // The last lines say why it ends.
  process.once('exit', () => {
    for (const untilMs = performance.now() + EXIT_PATIENCE_MS; waits && performance.now() < untilMs; retry())
      pause(RETRY_AT_EXIT_MS);
  });
  return output;
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Opened anew, so that whoever shares the pipe, standard error for one, keeps waiting as it expects to. */
function target(): number {
  try {
    if (fstatSync(STDOUT).isFIFO()) return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // No such file system, or a pipe that nobody reads: as it is.
  }
  return STDOUT;
}
