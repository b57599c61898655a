import { keyEffectOf } from './creation-answer.js';
import type { KeyEffect } from './idempotency/idempotency.sql.js';
import type { Caller, Submitted } from './submission.service.js';

/** Creates answer within 20 seconds, their own statements included (contract, section 4). */
export const DEFAULT_WAIT_MS = 19_000;

/**
 * A caller with limited patience. Either it gets the outcome, or it has been answered before: the two exclude each
 * other, because a refusal that the caller got fires no webhook, and one that it did not get must.
 */
export class WaitingCaller implements Caller {
  private state: 'waiting' | 'gets_outcome' | 'gone' | 'answered_before' = 'waiting';

  /** @param keyedRequestId id of the request when it has an idempotency key */
  constructor(
    readonly strict: boolean,
    private readonly isConnected: () => boolean,
    private readonly keyedRequestId: string | null = null,
  ) {}

  takeAnswer(): boolean {
    if (this.state === 'waiting') this.state = this.isConnected() ? 'gets_outcome' : 'gone';
    return this.state === 'gets_outcome';
  }

  /** A caller whose connection broke is expected to ask again: its key keeps the answer that it would have got. */
  keyEffect(submitted: Submitted): KeyEffect | null {
    if (this.keyedRequestId === null || this.state === 'answered_before') return null;
    return keyEffectOf(submitted, this.strict, this.keyedRequestId);
  }

  /** Waits at most so long; longer only while an outcome that it was promised is being written. True when it gave up. */
  async waitFor(outcome: Promise<unknown>, waitMs: number): Promise<boolean> {
    if (waitMs <= 0 && this.state === 'waiting') {
      this.state = 'answered_before';
      return true;
    }
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        if (this.state !== 'waiting') return resolve(false);
        this.state = 'answered_before';
        resolve(true);
      }, waitMs);
    });
    const settled = outcome.then(
      () => false,
      () => false,
    );
    const gaveUp = await Promise.race([patience, settled]);
    clearTimeout(timer);
    return gaveUp;
  }
}
