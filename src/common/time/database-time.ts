/**
 * The database's clock, carried forward by this process's own. A statement tells it at a moment that this process does not
 * know: after the statement was asked for and before its answer was read, and a slow database, network or event loop can
 * put seconds between the two. So there are two times of now, and the truth lies between them; whoever decides takes the one
 * that makes the decision more careful. What is due is always decided by the database's own now().
 */
export class DatabaseTime {
  private readonly readAtMs = performance.now();
  private readonly wallAheadMs: number;

  /** @param askedAtMs of `performance.now()`, before the statement was given away; without it nothing is known of its duration */
  constructor(
    private readonly databaseNow: Date,
    private readonly askedAtMs = performance.now(),
  ) {
    this.wallAheadMs = Date.now() - performance.now();
  }

  /** Not after the database's now, as if it had told its time when its answer was read; for the timestamps of a record. */
  now(): Date {
    return this.after(Math.floor(performance.now() - this.readAtMs));
  }

  /**
   * Not before the database's now, as if it had told its time when it was asked. The monotonic clock stands still while a
   * virtual machine is suspended, so that the wall clock is looked at too.
   */
  latest(): Date {
    const stoodStillMs = Math.max(0, Date.now() - performance.now() - this.wallAheadMs);
    return this.after(Math.ceil(performance.now() - this.askedAtMs + stoodStillMs));
  }

  private after(elapsedMs: number): Date {
    return new Date(this.databaseNow.getTime() + Math.max(0, elapsedMs));
  }
}
