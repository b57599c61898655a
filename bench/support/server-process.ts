import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ServerProgram {
  name: string;
  /** Arguments of Node, for a server that will listen on this port of 127.0.0.1. */
  args: (port: number) => string[];
  env?: (port: number) => NodeJS.ProcessEnv;
  /** A path that answers once the server is ready, with whatever status. */
  probe: string;
}

export interface ServerProcess {
  name: string;
  url: string;
  pid: number;
  /** SIGTERM, then waits for the end. */
  stop: () => Promise<void>;
}

export interface SpawnOptions {
  /** Output goes to files here, as in production: a pipe would be read by the load generator. */
  logDir: string;
  /** Each process writes a CPU profile here when it ends. */
  profileDir: string | undefined;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const PROBE_INTERVAL_MS = 50;
const LOG_TAIL_LENGTH = 2_000;

const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/**
 * Starts a server in a Node process of its own and waits until it answers. It ends with this process.
 * @throws with the end of the server's output when it does not start
 */
export async function startServer(program: ServerProgram, options: SpawnOptions): Promise<ServerProcess> {
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const logFile = path.join(options.logDir, `${program.name}.log`);
  const log = fs.openSync(logFile, 'a');
  const profile = options.profileDir === undefined ? [] : profileArgs(program.name, options.profileDir);
  const child = spawn(process.execPath, [...profile, ...program.args(port)], {
    cwd: PROJECT,
    stdio: ['ignore', log, log],
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...program.env?.(port) },
  });
  fs.closeSync(log);
  running.add(child);
  child.once('exit', () => running.delete(child));
  if (!(await answers(url + program.probe, child))) {
    child.kill('SIGKILL');
    throw new Error(`${program.name} did not start:\n${fs.readFileSync(logFile, 'utf8').slice(-LOG_TAIL_LENGTH)}`);
  }
  return { name: program.name, url, pid: child.pid!, stop: () => stop(child) };
}

/** A folder of its own for each server: every thread writes a file, and the loader of TypeScript is one, too. */
function profileArgs(name: string, directory: string): string[] {
  return ['--cpu-prof', `--cpu-prof-dir=${path.join(path.resolve(directory), name)}`];
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

/** False when the process ends, or takes too long. */
async function answers(url: string, child: ChildProcess): Promise<boolean> {
  const untilMs = performance.now() + START_TIMEOUT_MS;
  while (child.exitCode === null && child.signalCode === null && performance.now() < untilMs) {
    const answer = await fetch(url).catch(() => null);
    await answer?.arrayBuffer();
    if (answer) return true;
    await new Promise((resolve) => setTimeout(resolve, PROBE_INTERVAL_MS));
  }
  return false;
}

export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
