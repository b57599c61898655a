import { constants, fstatSync, openSync } from 'node:fs';
import { pino, type DestinationStream } from 'pino';

const STDOUT = 1;
/** Lines that wait for their reader; what comes beyond is dropped. Bytes. */
const MAX_WAITING_BYTES = 1_048_576;
/** After which what waits is tried again, if no other line has. */
const RETRY_MS = 500;

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
  output.on('error', () => {
    retrying ??= setTimeout(() => {
      retrying = null;
      output.write('');
    }, RETRY_MS).unref();
  });
  output.on('drop', dropped);
  return output;
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
