/**
 * Runs one Postgres for as long as somebody holds the other end of this process's standard input. The end of that pipe is the
 * only signal to stop, and the kernel gives it in every case: after `stop()`, after a crash, after SIGKILL of the parent.
 *
 * Arguments: a JSON object, see `Assignment`. Standard output: the one line `ready`. Standard input: `keep` (leave the
 * directory although it is a temporary one), then its end.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';

/**
 * @typedef {object} Assignment
 * @property {string} command path of the `postgres` binary
 * @property {string[]} args
 * @property {string} cwd a directory that the account may enter
 * @property {{ uid: number, gid: number } | undefined} [account]
 * @property {string} logFile
 * @property {string | undefined} [removeAtEnd] directory to remove once Postgres has ended
 */

/** Postgres writes its last checkpoint in this time, else it is stopped without one, as after a power cut. */
const PATIENCE_MS = 10_000;

/** @type {Assignment} */
const { command, args, cwd, account, logFile, removeAtEnd } = JSON.parse(process.argv[2] ?? '{}');

let keep = removeAtEnd === undefined;
let stopping = false;

const log = createWriteStream(logFile, { flags: 'a', mode: 0o644 });
const postgres = spawn(command, args, { ...account, cwd, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });

postgres.stdout.pipe(log, { end: false });
postgres.stderr.pipe(log, { end: false });
postgres.stderr.setEncoding('utf8').on('data', announceReadiness);
postgres.on('error', (error) => log.write(`${error.message}\n`));
postgres.on('close', () => void end());

// The parent may be gone when `ready` is written; that is no reason to leave a Postgres behind.
process.stdout.on('error', () => {});
process.stdin.setEncoding('utf8');
process.stdin.on('data', (line) => (keep ||= String(line).includes('keep')));
process.stdin.on('end', stop).on('error', stop);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);

/** @param {string} output */
function announceReadiness(output) {
  if (output.includes('database system is ready to accept connections')) process.stdout.write('ready\n');
}

/** Open connections are cut; a directory that is removed anyway needs no checkpoint. */
function stop() {
  if (stopping) return;
  stopping = true;
  postgres.kill(keep ? 'SIGINT' : 'SIGQUIT');
  setTimeout(() => postgres.kill('SIGQUIT'), PATIENCE_MS).unref();
}

async function end() {
  await new Promise((resolve) => log.end(resolve));
  // Without this a Postgres that never started would lose the log that says why; the parent removes the directory then.
  if (stopping && !keep && removeAtEnd) await rm(removeAtEnd, { recursive: true, force: true, maxRetries: 10 });
  process.exit(stopping ? 0 : 1);
}
