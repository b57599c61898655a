import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls a second of a tenant's looks: more by a little with every call that TensorPix serves, half at every 429 (additive
 * increase, multiplicative decrease). TensorPix publishes no limit, so it is found by trying, from ten on (the
 * column's default).
 */
export const CALL_RATE = { most: 50, least: 0.1, gainACall: 0.1 } as const;

/** Calls of so long a time may be made at once. */
const BURST_MS = 2_000;

/** Keeps the calls of one look at its tenant's rate. */
export class CallPace {
  private nextAtMs = performance.now() - BURST_MS;
  private served = 0;

  constructor(private readonly callsPerSecond: number) {}

  /** What the calls of this look have added to the rate. */
  get gained(): number {
    return this.served * CALL_RATE.gainACall;
  }

  /** Waits for the turn of the next call. */
  async turn(): Promise<void> {
    const nowMs = performance.now();
    const rate = Math.min(CALL_RATE.most, this.callsPerSecond + this.gained);
    const waitMs = this.nextAtMs - nowMs;
    this.nextAtMs = Math.max(this.nextAtMs, nowMs - BURST_MS) + 1000 / rate;
    if (waitMs > 1) await delay(waitMs);
  }

  noteServed(): void {
    this.served += 1;
  }
}
