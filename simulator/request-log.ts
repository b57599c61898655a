/** One received request. The token is shown by its last four characters only. */
export interface LoggedRequest {
  /** Counts all requests since the start, from 1. */
  number: number;
  /** Epoch milliseconds by the simulator's clock. */
  atMs: number;
  method: string;
  /** Path with its query. */
  path: string;
  tokenSuffix: string | null;
  contentType: string | null;
  /** Status that was sent; null while unanswered, and for good when a fault kept the answer back. */
  status: number | null;
  /** Kind of the fault that was applied. */
  fault: string | null;
  /** Decoded fields, if the options ask for them. */
  body: unknown;
}

/** A bounded ring of received requests; the oldest are overwritten. */
export class RequestLog {
  private ring: LoggedRequest[] = [];
  private received = 0;

  constructor(private readonly capacity: number) {}

  get enabled(): boolean {
    return this.capacity > 0;
  }

  add(entry: Omit<LoggedRequest, 'number'>): LoggedRequest {
    const logged: LoggedRequest = { number: ++this.received, ...entry };
    this.ring[(this.received - 1) % this.capacity] = logged;
    return logged;
  }

  /** Oldest first. */
  all(): LoggedRequest[] {
    const start = this.received > this.capacity ? this.received % this.capacity : 0;
    return [...this.ring.slice(start), ...this.ring.slice(0, start)];
  }

  clear(): void {
    this.ring = [];
    this.received = 0;
  }
}
