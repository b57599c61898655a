import { backoffMs } from '../../common/loops/backoff.js';

/** Calls in a row that were not served until nothing is sent for a while. */
export const FAILURES_UNTIL_OPEN = 10;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const TRUSTS_ITSELF_MS = 2_000;

/** What a call says of what a circuit stands for. */
export type Health = 'up' | 'down' | 'unclear';

export interface Pass {
  /** the one call that may try while the circuit is half open */
  probes: boolean;
}

/**
 * Stops hammering what is down. Open: nothing is sent. After a pause, which grows, one call may try; its success closes the
 * circuit for all, its failure opens it for longer.
 */
export class CircuitBreaker {
  private failures = 0;
  private openings = 0;
  private openUntilMs: number | null = null;
  private probing = false;
  private servedAtMs = Number.NEGATIVE_INFINITY;

  /** @param onChange told when it opens, for so long, and when it closes (null) */
  constructor(
    private readonly onChange: (openForMs: number | null) => void = () => undefined,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  get isOpen(): boolean {
    return this.openUntilMs !== null;
  }

  /** Calls that were not served since the last one that was, or since it was closed by others. */
  get failuresInARow(): number {
    return this.failures;
  }

  /** Null when nothing may be sent now. A pass is given back with `leave`, whatever becomes of the call. */
  enter(): Pass | null {
    if (this.openUntilMs === null) return { probes: false };
    if (this.waitMs > 0 || this.probing) return null;
    this.probing = true;
    return { probes: true };
  }

  /** How long it makes no sense to try. */
  get waitMs(): number {
    return Math.max(0, Math.ceil((this.openUntilMs ?? 0) - this.nowMs()));
  }

  leave({ probes }: Pass, health: Health): void {
    if (probes) this.probing = false;
    if (health === 'up') {
      const wasOpen = this.isOpen;
      this.servedAtMs = this.nowMs();
      this.openings = 0;
      this.close();
      if (wasOpen) this.onChange(null);
    } else if (health === 'down') {
      this.failures += 1;
      if (this.isOpen ? probes : this.failures >= FAILURES_UNTIL_OPEN) this.open();
    }
  }

  /**
   * Another replica has found that the host does not serve, and for how long nothing is to be sent. One that was served a
   * moment ago knows better: the other's way to the host may be what is broken.
   */
  openFor(ms: number): void {
    if (!this.isOpen && this.nowMs() - this.servedAtMs < TRUSTS_ITSELF_MS) return;
    this.openUntilMs = Math.max(this.openUntilMs ?? 0, this.nowMs() + ms);
  }

  /** The host serves, perhaps others only: the pause of this replica goes on growing until it is served itself. */
  close(): void {
    this.failures = 0;
    this.openUntilMs = null;
  }

  private open(): void {
    const pauseMs = backoffMs(this.openings + 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    this.openUntilMs = this.nowMs() + pauseMs;
    this.openings += 1;
    this.onChange(pauseMs);
  }
}
