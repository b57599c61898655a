import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually, gatewayEnv } from './gateway.js';
import { freePort } from './ports.js';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** `node dist/main.js`: the built gateway in a process of its own. */
export interface GatewayProcess {
  url: string;
  pid: number;
  /** Everything it has written to stdout and stderr. */
  output: () => string;
  /** Sends a signal and returns the exit code: null when the signal ended it. */
  end: (signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL') => Promise<number | null>;
}

/** A process that a test has started, killed at the latest by `killAll`. */
const processes = new Set<ChildProcess>();

export async function killAll(): Promise<void> {
  await Promise.all([...processes].map((child) => endOf(child, 'SIGKILL')));
}

/** Where standard output goes instead of being collected: a file descriptor. */
interface Output {
  stdout?: number | 'pipe';
}

/** Starts a program in the project's directory; what it writes is collected. */
export function startProgram(
  args: string[],
  env: NodeJS.ProcessEnv,
  { stdout = 'pipe' }: Output = {},
): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, args, { cwd: PROJECT, env, stdio: ['ignore', stdout, 'pipe'] });
  processes.add(child);
  child.once('exit', () => processes.delete(child));
  const chunks: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
  return { child, output: () => chunks.join('') };
}

/** The plain environment without what belongs to the test runner. */
export function plainEnv(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, TMPDIR };
}

/** Starts the built gateway on a free port and waits until it is ready. */
export async function startGatewayProcess(
  databaseUrl: string,
  tensorpixUrl: string,
  overrides: NodeJS.ProcessEnv = {},
  to: Output = {},
): Promise<GatewayProcess> {
  const port = await freePort();
  const env = { ...plainEnv(), ...gatewayEnv(databaseUrl, tensorpixUrl, { PORT: String(port), ...overrides }) };
  const { child, output } = startProgram(['dist/main.js'], env, to);
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}: ${output()}`);
    return isReady(url);
  }, Boolean);
  return { url, pid: child.pid ?? 0, output, end: (signal) => endOf(child, signal) };
}

export async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`).catch(() => null);
  await answer?.body?.cancel();
  return answer?.ok ?? false;
}

export async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exited = once(child, 'exit');
  child.kill(signal);
  const [code] = (await exited) as [number | null];
  return code;
}
