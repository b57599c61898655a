import { randomUUID } from 'node:crypto';

/**
 * A claim with an expiry and a fence. It is created before the statement that writes it, so that what this process
 * believes of the expiry is never later than what the database believes.
 *
 * Both clocks are looked at, because each can stand still: the monotonic one while a virtual machine is suspended,
 * the wall clock while somebody sets it back.
 */
export class Lease {
  private monotonicStartMs = performance.now();
  private wallStartMs = Date.now();

  constructor(
    readonly durationMs: number,
    readonly token: string = randomUUID(),
  ) {}

  /** The same claim of one of the rows that were claimed together: each is renewed by itself. */
  split(): Lease {
    const own = new Lease(this.durationMs, this.token);
    own.monotonicStartMs = this.monotonicStartMs;
    own.wallStartMs = this.wallStartMs;
    return own;
  }

  /**
   * Prolongs the claim by the statement that does it.
   *
   * @param renew true when the claim was held and is as good as new; false when it was gone
   */
  async renew(renew: () => Promise<boolean>): Promise<boolean> {
    const [monotonicMs, wallMs] = [performance.now(), Date.now()];
    if (!(await renew())) return false;
    this.monotonicStartMs = monotonicMs;
    this.wallStartMs = wallMs;
    return true;
  }

  /** True when the lease will still be held after a call of this length that begins now. */
  covers(callMs: number): boolean {
    const elapsedMs = Math.max(performance.now() - this.monotonicStartMs, Date.now() - this.wallStartMs);
    return elapsedMs + callMs <= this.durationMs;
  }
}
