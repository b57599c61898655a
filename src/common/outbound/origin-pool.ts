import { OutboundConnection, type Origin } from './outbound-connection.js';

/** The connections of one origin, to all its addresses: at most `maxConnections` under way, the others wait in line. */
export class OriginPool {
  private readonly idle: OutboundConnection[] = [];
  private readonly waiting = new Set<() => void>();
  private active = 0;

  constructor(
    private readonly origin: Origin,
    private readonly maxConnections: number,
    private readonly ca: string | Buffer | undefined,
  ) {}

  /** Nothing runs and nobody waits; whether connections stand open does not matter. */
  get isQuiet(): boolean {
    return this.active === 0 && this.waiting.size === 0;
  }

  /** Whether it holds nothing at all. */
  get isEmpty(): boolean {
    return this.isQuiet && this.idle.length === 0;
  }

  /** Takes the right to one connection, if there is one left; goes with `leave`. */
  tryEnter(): boolean {
    if (this.active >= this.maxConnections) return false;
    this.active++;
    return true;
  }

  /** Waits in line for that right; the answer leaves the line again. */
  enterLater(entered: () => void): () => void {
    this.waiting.add(entered);
    return () => this.waiting.delete(entered);
  }

  /** Gives the right back, to the first in line if there is one. */
  leave(): void {
    const next = this.waiting.values().next();
    if (next.done === true) {
      this.active--;
      return;
    }
    this.waiting.delete(next.value);
    next.value();
  }

  /**
   * A connection to one of the addresses vetted for this attempt: the unused one last used, else a new one to the first.
   * An open connection to an address that is no longer among them is not used again.
   *
   * @throws RangeError for no address at all.
   */
  connectionTo(addresses: readonly string[]): OutboundConnection {
    for (let index = this.idle.length - 1; index >= 0; index--) {
      const connection = this.idle[index];
      if (connection === undefined || !addresses.includes(connection.address)) continue;
      this.idle.splice(index, 1);
      return connection;
    }
    const [address] = addresses;
    if (address === undefined) throw new RangeError('no address to connect to');
    // Open ones count against the limit too, or an origin that changes addresses would pile them up.
    if (this.idle.length + this.active > this.maxConnections) this.idle.shift()?.destroy();
    return new OutboundConnection(this.origin, address, this.ca);
  }

  /** Keeps a connection whose response has been read to its end. */
  putBack(connection: OutboundConnection, nowMs: number): void {
    connection.idleSinceMs = nowMs;
    this.idle.push(connection);
  }

  /** Closes what has been unused since before `beforeMs`. */
  closeIdle(beforeMs: number): void {
    const old = this.idle.findIndex((connection) => connection.idleSinceMs >= beforeMs);
    for (const connection of this.idle.splice(0, old === -1 ? this.idle.length : old)) connection.destroy();
  }
}

/** The pools of all origins: bounded, the one longest unused goes first. */
export class OriginPools {
  private readonly pools = new Map<string, OriginPool>();

  constructor(
    private readonly maxOrigins: number,
    private readonly connectionsPerOrigin: number,
    private readonly ca: string | Buffer | undefined,
  ) {}

  /** The pool of a URL's origin, moved to the recent end. */
  of(url: URL, serverName: string): OriginPool {
    const key = url.origin;
    const known = this.pools.get(key);
    if (known !== undefined) this.pools.delete(key);
    else this.makeRoom();
    const pool = known ?? new OriginPool(originOf(url, serverName), this.connectionsPerOrigin, this.ca);
    this.pools.set(key, pool);
    return pool;
  }

  /** Closes connections unused since before `beforeMs` and forgets pools that hold nothing. */
  closeIdle(beforeMs: number): void {
    for (const [key, pool] of this.pools) {
      pool.closeIdle(beforeMs);
      if (pool.isEmpty) this.pools.delete(key);
    }
  }

  /** Pools at work stay; the attempts under way bound how many there are above the limit. */
  private makeRoom(): void {
    for (const [key, pool] of this.pools) {
      if (this.pools.size < this.maxOrigins) return;
      if (!pool.isQuiet) continue;
      pool.closeIdle(Infinity);
      this.pools.delete(key);
    }
  }
}

function originOf(url: URL, serverName: string): Origin {
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  return { key: url.origin, secure, port, serverName };
}
