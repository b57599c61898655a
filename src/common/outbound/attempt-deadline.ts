import { OutboundFailure } from './outbound-outcome.js';

/** What an attempt waits for, as its failure says it: "no TLS handshake within 15000 ms". */
export type Awaited = 'address of the host' | 'free connection' | 'TCP connection' | 'TLS handshake' | 'response';

/**
 * The one wall clock of an attempt. Whichever part of the attempt is running is told through
 * `onStop`; only one part runs at a time.
 */
export class AttemptDeadline {
  readonly startedAtMs = performance.now();
  /** Milliseconds of it that went into waiting for a free connection. */
  inLineMs = 0;
  private timer: NodeJS.Timeout;
  private stopped: OutboundFailure | null = null;
  private listener: ((failure: OutboundFailure) => void) | null = null;
  private awaited: () => Awaited = () => 'response';

  constructor(private readonly timeoutMs: number) {
    this.timer = setTimeout(() => this.stop(this.timeout()), timeoutMs);
  }

  get elapsedMs(): number {
    return performance.now() - this.startedAtMs;
  }

  get remainingMs(): number {
    return Math.max(0, this.timeoutMs - this.elapsedMs);
  }

  /** Leaves it at most so long from now on. Whoever is told at its end has what counts, and asks nobody why. */
  endWithin(ms: number): void {
    if (this.remainingMs <= ms) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.stop(this.timeout()), ms);
  }

  /** What ends the attempt if it is over, whether its timer has fired or not. */
  lateness(): OutboundFailure | null {
    return this.remainingMs > 0 ? this.stopped : (this.stopped ?? this.timeout());
  }

  /** Sets who is told, at once if it is over already, and what they wait for; null for nobody. */
  onStop(listener: ((failure: OutboundFailure) => void) | null, awaited: () => Awaited = () => 'response'): void {
    this.listener = listener;
    this.awaited = awaited;
    if (this.stopped !== null) listener?.(this.stopped);
  }

  /**
   * The promise's result if it comes in time.
   *
   * @throws OutboundFailure `timeout`, and what the promise rejects with.
   */
  race<T>(promise: Promise<T>, awaited: Awaited): Promise<T> {
    return new Promise((resolve, reject) => {
      this.onStop(reject, () => awaited);
      // The listener goes before the caller continues: by then it may have set the next one.
      const settle =
        <R>(then: (result: R) => void) =>
        (result: R): void => {
          if (this.listener === reject) this.listener = null;
          then(result);
        };
      promise.then(settle(resolve), settle(reject));
    });
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.listener = null;
  }

  private timeout(): OutboundFailure {
    const inLine = Math.round(this.inLineMs);
    const after = inLine > 0 ? `, ${inLine} of them in line for a free connection` : '';
    return new OutboundFailure('timeout', `no ${this.awaited()} within ${this.timeoutMs} ms${after}`);
  }

  private stop(failure: OutboundFailure): void {
    if (this.stopped !== null) return;
    this.stopped = failure;
    this.listener?.(failure);
  }
}
