import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readLastWords } from './gateway-log.js';
import type { Lifetime } from './lifetime.js';
import { DemoError } from './options.js';

export interface GatewayProcessOptions {
  port: number;
  /** The variables of a gateway; the rest of this process's environment is passed on. */
  env: Record<string, string>;
  logFile: string;
}

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PRELOAD = new URL('end-with-parent.js', import.meta.url).href;
const READY_TIMEOUT_MS = 30_000;
const READY_INTERVAL_MS = 100;
const DRAIN_MS = 10_000;

/** What a shell may have set for another gateway. LOG_LEVEL is not here: it may be chosen for the demo too. */
const FOREIGN_VARIABLES =
  /^(CALLBACK_|POLL_|TENSORPIX_|ENCRYPTION_KEYS$|GATEWAY_ROLE$|RECONCILE_|RETENTION_|SHUTDOWN_)/;

/**
 * Starts the built gateway and waits until it is ready. It ends with `lifetime`, and its own end is the end of `lifetime`.
 * @throws DemoError when it is not built, ends at once or does not become ready
 */
export async function startGateway(options: GatewayProcessOptions, lifetime: Lifetime): Promise<void> {
  if (!existsSync(`${PROJECT}/dist/main.js`)) {
    throw new DemoError('The gateway is not built: run `npm run build` first.');
  }
  const gateway = launch(options);
  let stopping = false;
  gateway.once('exit', (code, signal) => {
    if (!stopping) void noteEnd(signal ?? `exit code ${code}`, options.logFile, lifetime);
  });
  gateway.once('error', (error) => lifetime.fail(new DemoError(`The gateway could not be started: ${error.message}`)));
  lifetime.atEnd('the gateway', () => {
    stopping = true;
    return stop(gateway);
  });
  await untilReady(`http://127.0.0.1:${options.port}/health/ready`, lifetime);
}

function launch({ env, logFile }: GatewayProcessOptions): ChildProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !FOREIGN_VARIABLES.test(name));
  // A file and no pipe: the log is whole even if this process is killed.
  const log = openSync(logFile, 'a', 0o600);
  const gateway = spawn(process.execPath, ['--import', PRELOAD, 'dist/main.js'], {
    cwd: PROJECT,
    env: { ...Object.fromEntries(inherited), ...env, SHUTDOWN_TIMEOUT_MS: String(DRAIN_MS) },
    // `detached`: Ctrl-C goes to a whole process group, and the gateway shall end in its turn.
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    windowsHide: true,
  });
  closeSync(log);
  return gateway;
}

async function noteEnd(how: string, logFile: string, lifetime: Lifetime): Promise<void> {
  lifetime.fail(new DemoError(`The gateway ended by itself (${how}): ${await readLastWords(logFile)}`));
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
  const exited = once(gateway, 'exit');
  gateway.kill('SIGTERM');
  const impatience = setTimeout(() => gateway.kill('SIGKILL'), DRAIN_MS + 2_000);
  await exited;
  clearTimeout(impatience);
}
