/**
 * A list in order of arrival whose items can be hidden and shown again, paged newest first.
 * A Fenwick tree counts the visible items, so that a page costs O(page · log n) however many are hidden.
 */
export class RankedList<T> {
  private readonly items: T[] = [];
  private readonly visible: boolean[] = [];
  /** Fenwick tree, 1-based. */
  private readonly sums: number[] = [0];
  private total = 0;

  /** Number of visible items. */
  get count(): number {
    return this.total;
  }

  /** Adds a visible item and returns its slot. */
  push(item: T): number {
    this.items.push(item);
    this.visible.push(true);
    const position = this.items.length;
    let sum = 1;
    for (let step = 1; step < (position & -position); step <<= 1) sum += this.sums[position - step] ?? 0;
    this.sums.push(sum);
    this.total++;
    return position - 1;
  }

  /** Shows or hides the item of a slot; repeating it changes nothing. */
  setVisible(slot: number, visible: boolean): void {
    if (this.visible[slot] === undefined || this.visible[slot] === visible) return;
    this.visible[slot] = visible;
    const change = visible ? 1 : -1;
    this.total += change;
    for (let at = slot + 1; at < this.sums.length; at += at & -at) this.sums[at] = (this.sums[at] ?? 0) + change;
  }

  isVisible(slot: number): boolean {
    return this.visible[slot] === true;
  }

  /** At most `limit` visible items, newest first, after `offset` of them. */
  page(offset: number, limit: number): T[] {
    const page: T[] = [];
    const end = Math.min(this.total, offset + limit);
    for (let rank = offset; rank < end; rank++) {
      const item = this.items[this.slotOf(this.total - rank)];
      if (item !== undefined) page.push(item);
    }
    return page;
  }

  /** Slot of the nth (from 1) visible item in order of arrival. */
  private slotOf(nth: number): number {
    let position = 0;
    let rest = nth;
    for (let step = 1 << (31 - Math.clz32(this.items.length)); step > 0; step >>= 1) {
      const sum = this.sums[position + step];
      if (sum !== undefined && sum < rest) {
        position += step;
        rest -= sum;
      }
    }
    return position;
  }
}
