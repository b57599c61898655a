const GAMMA = 0x6d2b79f5;

/** Numbers that a seed decides (mulberry32): the same seed gives the same numbers. Not cryptographic. */
export class Random {
  private state: number;

  constructor(private readonly seed: number) {
    this.state = seed | 0;
  }

  /** At least 0, below 1. */
  next(): number {
    this.state = (this.state + GAMMA) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** @throws RangeError for an empty list */
  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new RangeError('there is nothing to pick from');
    return item;
  }

  /** Shares need not add up to anything. */
  pickByShare<T>(items: readonly (readonly [item: T, share: number])[]): T {
    let rest = this.next() * items.reduce((sum, [, share]) => sum + share, 0);
    for (const [item, share] of items) if ((rest -= share) < 0) return item;
    return this.pick(items)[0];
  }

  /** A sequence of its own, so that what one part of a run draws does not depend on how often another part draws. */
  fork(name: string | number): Random {
    let hash = 0x811c9dc5 ^ this.seed;
    for (const character of String(name)) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
    return new Random(hash ^ (hash >>> 13));
  }
}
