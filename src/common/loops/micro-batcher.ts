import { isDatabaseAway } from '../prisma/database-errors.js';

/** Items of a failed batch that are tried at once: each has a connection meanwhile. */
const SINGLES_AT_ONCE = 4;

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * Gathers concurrent writes into one statement: whatever arrived while the last flush was under way goes out with the
 * next one. No timer: a lone write goes out at once, and the busier it gets the larger the batches are. Every caller
 * waits for the commit of its own item.
 *
 * When a batch fails, its items are tried each by itself, a few at once, so that one bad row cannot fail its neighbours and
 * one that waits for a lock cannot keep them waiting. The statement is atomic, so a failed batch has left nothing behind; a batch whose outcome is unknown (connection lost) must be
 * safe to repeat, which fenced updates and inserts with a primary key chosen by the caller are.
 */
export class MicroBatcher<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private flushes = 0;

  constructor(
    /** Writes all items and returns one result an item, in their order. */
    private readonly write: (items: Item[]) => Promise<Result[]>,
    private readonly options: { maxItems: number; concurrency: number },
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, resolve, reject });
      this.flushSoon();
    });
  }

  private flushSoon(): void {
    if (this.flushes >= this.options.concurrency || this.waiting.length === 0) return;
    this.flushes += 1;
    // One turn later, so that requests parsed in the same turn share the statement.
    setImmediate(() => void this.flush());
  }

  private async flush(): Promise<void> {
    const batch = this.waiting.splice(0, this.options.maxItems);
    try {
      if (batch.length > 0) await this.writeBatch(batch);
    } finally {
      this.flushes -= 1;
      this.flushSoon();
    }
  }

  private async writeBatch(batch: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.write(batch.map(({ item }) => item));
      if (results.length !== batch.length) throw new Error('a batch must return one result an item');
      batch.forEach(({ resolve }, i) => resolve(results[i] as Result));
    } catch (error) {
      if (batch.length === 1 || isDatabaseAway(error)) batch.forEach(({ reject }) => reject(error));
      else await this.writeSingly(batch);
    }
  }

  private async writeSingly(batch: Waiting<Item, Result>[]): Promise<void> {
    // Shared: each takes the next one that is left.
    const left = batch.values();
    const writeNext = async () => {
      for (const single of left) await this.writeBatch([single]);
    };
    await Promise.all(Array.from({ length: SINGLES_AT_ONCE }, writeNext));
  }
}
