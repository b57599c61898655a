/** Counts what is under way by whom or whereto, so that nobody takes all places (invariant 16). */
export class Occupancy {
  private readonly counts = new Map<string, number>();

  enter(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  leave(name: string): void {
    const left = (this.counts.get(name) ?? 0) - 1;
    if (left > 0) this.counts.set(name, left);
    else this.counts.delete(name);
  }

  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  /** Those with at least so much under way. */
  busy(most: number): string[] {
    return [...this.counts].filter(([, count]) => count >= most).map(([name]) => name);
  }
}
