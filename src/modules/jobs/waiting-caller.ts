import type { Caller } from './submission.service.js';

/**
 * A caller with limited patience. Either it gets the outcome, or it has been answered before: the two exclude each
 * other, because a refusal that the caller got fires no webhook, and one that it did not get must.
 */
export class WaitingCaller implements Caller {
  private state: 'waiting' | 'gets_outcome' | 'answered_before' = 'waiting';

  constructor(
    readonly strict: boolean,
    private readonly isConnected: () => boolean,
  ) {}

  takeAnswer(): boolean {
    if (this.state === 'waiting') this.state = this.isConnected() ? 'gets_outcome' : 'answered_before';
    return this.state === 'gets_outcome';
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
