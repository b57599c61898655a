import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Lifetime } from './lifetime.js';
import { DemoError } from './options.js';

export interface GatewayProcessOptions {
  port: number;
  /** The variables of a gateway; the rest of this process's environment is passed on. */
  env: Record<string, string>;
  logFile: string;
  onLogLine: (line: string) => void;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PRELOAD = new URL('end-with-parent.js', import.meta.url).href;
const READY_TIMEOUT_MS = 30_000;
const READY_INTERVAL_MS = 100;
const DRAIN_MS = 10_000;

/** What a shell may have set for another gateway. LOG_LEVEL is not here: it may be chosen for the demo too. */
const FOREIGN_VARIABLES = /^(CALLBACK_|POLL_|TENSORPIX_|ENCRYPTION_KEYS$|GATEWAY_ROLE$|RECONCILE_|RETENTION_|SHUTDOWN_)/;

/**
 * Starts the built gateway and waits until it is ready. It ends with `lifetime`, and its own end is the end of `lifetime`.
 * @throws DemoError when it is not built, ends at once or does not become ready
 */
export async function startGateway(options: GatewayProcessOptions, lifetime: Lifetime): Promise<void> {
  if (!existsSync(`${PROJECT}/dist/main.js`)) throw new DemoError('The gateway is not built: run `npm run build` first.');
  const gateway = spawn(process.execPath, ['--import', PRELOAD, 'dist/main.js'], {
    cwd: PROJECT,
    env: { ...inheritedEnv(), ...options.env, SHUTDOWN_TIMEOUT_MS: String(DRAIN_MS) },
    // `detached`: Ctrl-C goes to a whole process group, and the gateway shall end in its turn.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    windowsHide: true,
  });
  const lastWords = keepLog(gateway, options);
  let stopping = false;
  gateway.once('close', (code, signal) => {
    const how = signal === null ? `exit code ${code}` : signal;
    if (!stopping) lifetime.fail(new DemoError(`The gateway ended by itself (${how}): ${lastWords()}`));
  });
  gateway.once('error', (error) => lifetime.fail(new DemoError(`The gateway could not be started: ${error.message}`)));
  lifetime.atEnd('the gateway', () => {
    stopping = true;
    return stop(gateway);
  });
  await untilReady(`http://127.0.0.1:${options.port}/health/ready`, lifetime);
}

function inheritedEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN_VARIABLES.test(name)));
}

/** Writes both outputs to the log; returns what tells the last of it in one line, errors first. */
function keepLog({ stdout, stderr }: ChildProcess, { logFile, onLogLine }: GatewayProcessOptions): () => string {
  const file = createWriteStream(logFile, { flags: 'a', mode: 0o600 });
  // A full disk shall not end the demo.
  file.on('error', () => undefined);
  const last = { stdout: '', stderr: '' };
  const follow = (stream: Readable | null, name: keyof typeof last): void => {
    if (stream === null) return;
    createInterface({ input: stream }).on('line', (line) => {
      if (line.trim() !== '') last[name] = line;
      file.write(`${line}\n`);
      onLogLine(line);
    });
  };
  follow(stdout, 'stdout');
  follow(stderr, 'stderr');
  return () => last.stderr || messageOf(last.stdout) || 'it said nothing';
}

/** The message of a line of structured log, with the error in it. */
function messageOf(line: string): string {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [msg, err?.message].filter((part) => part !== undefined).join(': ');
  } catch {
    return line.slice(0, 300);
  }
}

async function untilReady(url: string, lifetime: Lifetime): Promise<void> {
  const untilMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < untilMs) {
    const signal = AbortSignal.any([lifetime.signal, AbortSignal.timeout(5_000)]);
    const answer = await fetch(url, { signal }).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    await lifetime.pause(READY_INTERVAL_MS);
  }
  throw new DemoError(`The gateway was not ready within ${READY_TIMEOUT_MS / 1_000} s.`);
}

/** Lets it drain; one that does not is killed, so that nothing is left behind. */
async function stop(gateway: ChildProcess): Promise<void> {
  if (gateway.exitCode !== null || gateway.signalCode !== null || gateway.pid === undefined) return;
  const closed = once(gateway, 'close');
  gateway.kill('SIGTERM');
  const impatience = setTimeout(() => gateway.kill('SIGKILL'), DRAIN_MS + 2_000);
  await closed;
  clearTimeout(impatience);
}
