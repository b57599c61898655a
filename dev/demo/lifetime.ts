import { setTimeout as sleep } from 'node:timers/promises';
import type { DemoError } from './options.js';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };
/** One Ctrl-C can arrive twice: from the terminal, and passed on by npm or tsx. */
const REPEAT_MS = 1_000;
const PARENT_LOOK_MS = 250;

/** The person at the terminal wants the program to end. */
export class Interruption {
  constructor(
    /** As shells count it: 128 and the number of the signal. */
    readonly exitCode: number,
  ) {}
}

/** How long this program lives, and what has to be undone when it ends. */
export class Lifetime {
  private readonly controller = new AbortController();
  private readonly undoing: { what: string; undo: () => Promise<void> }[] = [];
  private firstSignalAtMs = 0;

  /** Aborted with an `Interruption`, or with the DemoError that makes going on useless. */
  readonly signal = this.controller.signal;

  /** From here on, Ctrl-C and SIGTERM end the program in order; a second Ctrl-C ends it at once. */
  watchSignals(): void {
    for (const name of STOP_SIGNALS) process.on(name, () => this.interrupt(128 + SIGNAL_NUMBERS[name]));
    // `npm run demo | head`: nobody reads any more.
    process.stdout.on('error', () => this.controller.abort(new Interruption(128 + 13)));
    if (process.env.npm_lifecycle_event) this.watchParent();
  }

  fail(error: DemoError): void {
    this.controller.abort(error);
  }

  /** @throws what the program was stopped with */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.signal }).catch(() => undefined);
    this.signal.throwIfAborted();
  }

  /** Waits until the program is stopped; returns the reason. */
  async ended(): Promise<unknown> {
    // A promise alone does not keep Node running.
    const forever = setInterval(() => undefined, 60_000);
    await new Promise<void>((resolve) => {
      if (this.signal.aborted) resolve();
      else this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    clearInterval(forever);
    return this.signal.reason as unknown;
  }

  /** To be called as soon as there is something to undo, so that no interruption comes between. */
  atEnd(what: string, undo: () => Promise<void>): void {
    this.undoing.push({ what, undo });
  }

  /** Undoes everything, the newest first; what cannot be undone is told and does not keep the rest. */
  async undoAll(complain: (line: string) => void): Promise<void> {
    this.controller.abort();
    for (const { what, undo } of this.undoing.splice(0).reverse()) {
      await undo().catch((error: unknown) => complain(`${what} did not stop: ${String(error)}`));
    }
  }

  /** npm passes SIGTERM on to the shell that it runs a script with, which ends and tells nobody. */
  private watchParent(): void {
    const parent = process.ppid;
    const look = (): void => {
      if (process.ppid !== parent) this.controller.abort(new Interruption(128 + SIGNAL_NUMBERS.SIGTERM));
    };
    setInterval(look, PARENT_LOOK_MS).unref();
  }

  private interrupt(exitCode: number): void {
    const nowMs = performance.now();
    if (this.firstSignalAtMs > 0 && nowMs - this.firstSignalAtMs > REPEAT_MS) process.exit(exitCode);
    this.firstSignalAtMs ||= nowMs;
    this.controller.abort(new Interruption(exitCode));
  }
}
