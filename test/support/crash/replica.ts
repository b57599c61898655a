import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../ports.js';
import { KillSwitch } from './kill-switch.js';
import { startPostgresRelay } from './postgres-relay.js';
import type { TcpRelay } from './tcp-relay.js';
import { startTensorpixRelay } from './tensorpix-relay.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** Ends the gateway when this process ends, however that happens. */
const PRELOAD = new URL('../../../dev/demo/end-with-parent.js', import.meta.url).href;
const READY_TIMEOUT_MS = 60_000;
const READY_INTERVAL_MS = 50;
const LOG_LINES = 20_000;

export interface ReplicaOptions {
  name: string;
  databaseUrl: string;
  tensorpixUrl: string;
  env: Record<string, string>;
}

/** A gateway in a process of its own, behind relays that are there before it starts and after it was killed. */
export class Replica {
  /** The newest lines that its processes have written. */
  readonly log: string[] = [];
  /** How often it ended without having been killed. */
  exits = 0;
  isUp = false;
  private child: ChildProcess | null = null;

  private constructor(
    readonly name: string,
    readonly url: string,
    readonly killSwitch: KillSwitch,
    private readonly relays: readonly TcpRelay[],
    private readonly env: Record<string, string>,
  ) {}

  /** Opens the relays and starts the process. */
  static async start({ name, databaseUrl, tensorpixUrl, env }: ReplicaOptions): Promise<Replica> {
    const killSwitch = new KillSwitch();
    const postgres = await startPostgresRelay(endpointOf(databaseUrl), killSwitch);
    const tensorpix = await startTensorpixRelay(endpointOf(tensorpixUrl), killSwitch);
    const port = await freePort();
    const viaPostgres = new URL(databaseUrl);
    viaPostgres.host = `127.0.0.1:${postgres.port}`;
    const own = {
      DATABASE_URL: viaPostgres.href,
      TENSORPIX_BASE_URL: `http://127.0.0.1:${tensorpix.port}`,
      HOST: '127.0.0.1',
      PORT: String(port),
    };
    const url = `http://127.0.0.1:${port}`;
    const replica = new Replica(name, url, killSwitch, [postgres, tensorpix], { ...env, ...own });
    await replica.boot();
    return replica;
  }

  /** Starts the process and waits until it is ready. */
  async boot(): Promise<void> {
    const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env;
    const child = spawn(process.execPath, ['--import', PRELOAD, 'dist/main.js'], {
      cwd: PROJECT,
      env: { PATH, HOME, TMPDIR, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => this.note(chunk.toString()));
    child.once('exit', (code, signal) => {
      if (signal !== 'SIGKILL') this.exits += 1;
      this.note(`-- ${this.name} ended: ${signal ?? code}`);
    });
    await this.untilReady(child);
    this.isUp = true;
  }

  /** SIGKILL; what was on the wires is lost. */
  async kill(): Promise<void> {
    this.isUp = false;
    await this.end('SIGKILL');
    for (const relay of this.relays) relay.cut();
  }

  /** Stops the process as it is, and lets it go on: what others take over meanwhile it must not touch afterwards. */
  async standStill(ms: number): Promise<void> {
    this.isUp = false;
    this.child?.kill('SIGSTOP');
    await sleep(ms);
    this.child?.kill('SIGCONT');
    this.isUp = true;
  }

  async close(): Promise<void> {
    this.killSwitch.disarm();
    await this.kill();
    for (const relay of this.relays) await relay.close();
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  private async untilReady(child: ChildProcess): Promise<void> {
    const untilMs = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < untilMs) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      const answer = await fetch(`${this.url}/health/ready`).catch(() => null);
      await answer?.body?.cancel();
      if (answer?.ok) return;
      await sleep(READY_INTERVAL_MS);
    }
    throw new Error(`${this.name} did not become ready:\n${this.log.slice(-20).join('\n')}`);
  }

  private note(text: string): void {
    for (const line of text.split('\n')) if (line !== '') this.log.push(line);
    if (this.log.length > 2 * LOG_LINES) this.log.splice(0, this.log.length - LOG_LINES);
  }
}

function endpointOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port || 5432) };
}
