interface Due<T> {
  atMs: number;
  item: T;
}

/** Binary min-heap of things that fall due; replaces a timer per job. */
export class DueHeap<T> {
  private readonly heap: Due<T>[] = [];

  push(atMs: number, item: T): void {
    const heap = this.heap;
    let index = heap.length;
    heap.push({ atMs, item });
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.at(parent) <= atMs) break;
      this.swap(index, parent);
      index = parent;
    }
  }

  /** Takes the earliest item that is due at `nowMs`, or returns undefined. */
  popDue(nowMs: number): T | undefined {
    const first = this.heap[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    const last = this.heap.pop();
    if (this.heap.length > 0 && last !== undefined) {
      this.heap[0] = last;
      this.sink(0);
    }
    return first.item;
  }

  clear(): void {
    this.heap.length = 0;
  }

  private sink(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      let least = index;
      if (this.at(left) < this.at(least)) least = left;
      if (this.at(left + 1) < this.at(least)) least = left + 1;
      if (least === index) return;
      this.swap(index, least);
      index = least;
    }
  }

  private at(index: number): number {
    return this.heap[index]?.atMs ?? Infinity;
  }

  private swap(first: number, second: number): void {
    const a = this.heap[first];
    const b = this.heap[second];
    if (a === undefined || b === undefined) return;
    this.heap[first] = b;
    this.heap[second] = a;
  }
}
