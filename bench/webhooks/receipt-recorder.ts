import { monotonicMs } from '../support/monotonic-clock.js';

/** What came to the receivers of a measurement. */
export interface Receipts {
  healthy: ReceiptList;
  /** Requests that were read and never answered. */
  dead: ReceiptList;
  /** Opened while it was measured. */
  connections: number;
  samples: Sample[];
}

/** In the order of their arrival. */
export interface ReceiptList {
  ids: string[];
  /** Monotonic milliseconds at which the whole request was there. */
  atMs: number[];
}

/** A request as it came, to check its signature. */
export interface Sample {
  headers: Record<string, string>;
  body: string;
}

/** How many different deliveries are to come. */
export interface Expectation {
  healthy: number;
  dead: number;
}

/** When nothing has come for so long, nothing will. Longer than the timeout of an attempt. */
const STALL_MS = 15_000;
const STALL_CHECK_MS = 250;
const SAMPLE_EVERY = 50;

type Kind = keyof Expectation;

/** Notes receipts in the receiver's process, as cheaply as it can, and knows when all have come. */
export class ReceiptRecorder {
  private receipts = emptyReceipts();
  private expected: Expectation = { healthy: 0, dead: 0 };
  private readonly seen = { healthy: new Set<string>(), dead: new Set<string>() };
  private count = 0;
  private lastMs = 0;
  private onReceipt: (() => void) | null = null;

  /** Forgets what came before. */
  begin(expected: Expectation): void {
    this.receipts = emptyReceipts();
    this.expected = expected;
    this.seen.healthy.clear();
    this.seen.dead.clear();
    this.lastMs = monotonicMs();
  }

  /** Whether the next request is to be kept as a sample. */
  wantsSample(): boolean {
    this.count += 1;
    return this.count % SAMPLE_EVERY === 0;
  }

  keepSample(sample: Sample): void {
    this.receipts.samples.push(sample);
  }

  noteConnection(): void {
    this.receipts.connections += 1;
  }

  noteReceipt(kind: Kind, id: string): void {
    this.lastMs = monotonicMs();
    const list = this.receipts[kind];
    list.ids.push(id);
    list.atMs.push(this.lastMs);
    this.seen[kind].add(id);
    this.onReceipt?.();
  }

  /** True when all deliveries of this kind have come, false when no more seem to. */
  async untilComplete(kind: Kind): Promise<boolean> {
    const isComplete = (): boolean => this.seen[kind].size >= this.expected[kind];
    if (isComplete()) return true;
    return new Promise((resolve) => {
      const settle = (complete: boolean): void => {
        clearInterval(timer);
        this.onReceipt = null;
        resolve(complete);
      };
      const timer = setInterval(() => {
        if (monotonicMs() - this.lastMs > STALL_MS) settle(false);
      }, STALL_CHECK_MS);
      this.onReceipt = () => {
        if (isComplete()) settle(true);
      };
    });
  }

  end(): Receipts {
    return this.receipts;
  }
}

function emptyReceipts(): Receipts {
  const list = (): ReceiptList => ({ ids: [], atMs: [] });
  return { healthy: list(), dead: list(), connections: 0, samples: [] };
}
