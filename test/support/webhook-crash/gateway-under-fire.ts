import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from '../gateway.js';
import { isReady, plainEnv } from '../gateway-process.js';
import { freePort } from '../ports.js';
import { nowMs } from './clock.js';
import type { Connections, Instance } from './connections.js';

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
/** Ends the gateway when this process ends, however that happens. */
const END_WITH_PARENT = new URL('../../../dev/demo/end-with-parent.js', import.meta.url).href;
const REPORT_CONNECTIONS = new URL('./report-connections.js', import.meta.url).href;
const PATIENCE_MS = 120_000;
const LOG_LINES = 200;

/** A gateway that can be killed, stopped and started again, and that ends with this process. */
export class GatewayUnderFire {
  readonly instances: Instance[] = [];
  /** How often a process ended without having been killed, each with its last lines. */
  readonly exits: string[] = [];
  isUp = false;
  /** Of the process that was started last. */
  url = '';
  private child: ChildProcess | null = null;
  private readonly log: string[] = [];

  /** @param env complete but for the port, with the role */
  constructor(
    readonly name: string,
    private readonly env: NodeJS.ProcessEnv,
    private readonly connections: Connections,
  ) {}

  /** Starts a process and waits until it is ready. */
  async boot(): Promise<void> {
    const port = await freePort();
    const instance: Instance = { name: `${this.name} #${this.instances.length + 1}`, killedAtMs: null, stills: [] };
    const child = spawn(
      process.execPath,
      ['--import', END_WITH_PARENT, '--import', REPORT_CONNECTIONS, 'dist/main.js'],
      {
        cwd: PROJECT,
        env: { ...plainEnv(), ...this.env, PORT: String(port) },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      },
    );
    this.child = child;
    this.instances.push(instance);
    child.on('message', (message) => {
      const { from, to, atMs } = message as { from: number; to: number; atMs: number };
      this.connections.note({ from, to }, instance, atMs);
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => this.note(chunk.toString()));
    child.once('exit', (code, signal) => {
      if (signal !== 'SIGKILL') this.exits.push(`${instance.name} ended with ${signal ?? code}: ${this.lastLines()}`);
    });
    await eventually(
      async () => {
        if (hasEnded(child)) throw new Error(`${instance.name} did not start: ${this.lastLines()}`);
        return isReady(`http://127.0.0.1:${port}`);
      },
      Boolean,
      PATIENCE_MS,
    );
    this.url = `http://127.0.0.1:${port}`;
    this.isUp = true;
  }

  /** SIGKILL; returns when the process is gone. */
  async kill(): Promise<void> {
    const { child } = this;
    this.isUp = false;
    if (!child || hasEnded(child)) return;
    const instance = this.instances.at(-1);
    if (instance) instance.killedAtMs = nowMs();
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Stops the process as it is. */
  stop(): void {
    this.instances.at(-1)?.stills.push({ fromMs: nowMs(), untilMs: Infinity, fromSeconds: Date.now() / 1_000 });
    this.isUp = false;
    this.child?.kill('SIGSTOP');
  }

  /** It does not know that it stood still. */
  goOn(): void {
    const still = this.instances.at(-1)?.stills.at(-1);
    if (still) still.untilMs = nowMs();
    this.child?.kill('SIGCONT');
    this.isUp = true;
  }

  lastLines(): string {
    return this.log.slice(-5).join('\n');
  }

  private note(text: string): void {
    this.log.push(text.trimEnd());
    if (this.log.length > LOG_LINES) this.log.splice(0, this.log.length - LOG_LINES);
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
