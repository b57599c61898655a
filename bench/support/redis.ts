import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { findRedis } from './redis-binaries.js';
import { findFreePort } from './server-process.js';

export interface BenchRedis {
  pid: number;
  url: string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;

/**
 * As BullMQ's guide for production asks: every write goes to the append-only file, which reaches the disk once a second,
 * and nothing is evicted. A power cut may cost that second; Postgres loses nothing.
 */
const SETTINGS = {
  bind: '127.0.0.1',
  save: '',
  appendonly: 'yes',
  appendfsync: 'everysec',
  'maxmemory-policy': 'noeviction',
};

/** Starts a Redis with a directory of its own. It ends with this process. A machine that has none is no error. */
export async function startBenchRedis(): Promise<BenchRedis | { missing: string }> {
  const directory = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'tensorpix-gateway-redis-'));
  const discard = (): void => fs.rmSync(directory, { recursive: true, force: true });
  process.once('exit', discard);
  const binary = await findRedis(directory);
  if ('missing' in binary) return binary;
  const port = await findFreePort();
  const settings = Object.entries({ ...SETTINGS, port, dir: directory });
  const child = spawn(
    binary.command,
    settings.flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH, ...binary.env } },
  );
  const kill = (): void => void child.kill('SIGKILL');
  process.prependOnceListener('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  await untilReady(child);
  return { pid: child.pid!, url: `redis://127.0.0.1:${port}`, stop: () => end(child) };
}

/** @throws with Redis's own log when it ends first, or takes too long */
async function untilReady(child: ChildProcess): Promise<void> {
  let log = '';
  const ready = new Promise<boolean>((resolve) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('Ready to accept connections')) resolve(true);
    });
    child.once('exit', () => resolve(false)).once('error', () => resolve(false));
    setTimeout(() => resolve(false), START_TIMEOUT_MS).unref();
  });
  if (await ready) return;
  child.kill('SIGKILL');
  throw new Error(`redis-server did not start:\n${log}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
