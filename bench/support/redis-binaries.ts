import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { promisify } from 'node:util';

export interface RedisBinary {
  command: string;
  /** What it has to find its libraries by. */
  env: NodeJS.ProcessEnv;
}

const run = promisify(execFile);

/** The server (in Debian's redis-tools) and of its libraries those that a machine need not have. */
const DEBIAN_PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1'];
const DOWNLOAD_TIMEOUT_MS = 60_000;

/**
 * The redis-server of the machine, else the one of its distribution, unpacked into `directory`: `apt-get download` checks
 * signatures, and neither it nor `dpkg-deb` installs anything or needs root.
 *
 * @returns why there is none, if there is none
 */
export async function findRedis(directory: string): Promise<RedisBinary | { missing: string }> {
  const installed = { command: 'redis-server', env: {} };
  if (await runs(installed)) return installed;
  try {
    await unpackDebian(directory);
  } catch (error) {
    return { missing: `no redis-server, and the packages could not be had: ${firstComplaint(error)}` };
  }
  const unpacked = await locate(directory);
  return (await runs(unpacked)) ? unpacked : { missing: 'no redis-server, and that of the packages does not run here' };
}

async function unpackDebian(directory: string): Promise<void> {
  const options = { cwd: directory, timeout: DOWNLOAD_TIMEOUT_MS };
  await run('apt-get', ['--quiet', 'download', ...DEBIAN_PACKAGES], options);
  const packages = (await fs.readdir(directory)).filter((name) => name.endsWith('.deb'));
  for (const name of packages) await run('dpkg-deb', ['--extract', name, 'root'], options);
}

/** Debian puts libraries into a directory named after the machine's architecture. */
async function locate(directory: string): Promise<RedisBinary> {
  const usr = path.join(directory, 'root', 'usr');
  const architectures = (await fs.readdir(path.join(usr, 'lib'))).filter((name) => name.includes('-linux-'));
  const libraries = architectures.map((name) => path.join(usr, 'lib', name)).join(':');
  return { command: path.join(usr, 'bin', 'redis-server'), env: { LD_LIBRARY_PATH: libraries } };
}

async function runs({ command, env }: RedisBinary): Promise<boolean> {
  return run(command, ['--version'], { env: { ...process.env, ...env } }).then(
    () => true,
    () => false,
  );
}

function firstComplaint(error: unknown): string {
  const { stderr = '', message } = error as Error & { stderr?: string };
  const complaints = stderr.split('\n').filter((line) => line.startsWith('E:'));
  return complaints[0] ?? message.split('\n')[0] ?? 'unknown';
}
