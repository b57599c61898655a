/** The simulator's time: real time plus what the control API added, or (frozen) only the latter. */
export class SimulatorClock {
  private offsetMs = 0;
  private readonly frozenAtMs: number | null;

  constructor(frozen: boolean) {
    this.frozenAtMs = frozen ? Date.now() : null;
  }

  /** Epoch milliseconds. */
  nowMs(): number {
    return (this.frozenAtMs ?? Date.now()) + this.offsetMs;
  }

  advance(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) throw new RangeError('advance_ms must be a number of at least 0');
    this.offsetMs += ms;
  }

  reset(): void {
    this.offsetMs = 0;
  }
}
