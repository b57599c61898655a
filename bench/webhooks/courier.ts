import type { Delivery } from './delivery.js';

/** One way to bring deliveries to their receivers. It lives in a process of its own, see courier-process.ts. */
export interface Courier {
  /** `whsec_…`: what it signs with. */
  readonly secret: string;
  /** Empties its store. */
  clear(): Promise<void>;
  /** Adds all, in the way recommended for many. None is sent before `start`. */
  enqueueAll(deliveries: Delivery[]): Promise<void>;
  /** Sends what is there and what comes, with new connections. Connections to its store are open before. */
  start(): Promise<void>;
  /**
   * Adds one while it runs.
   *
   * @returns the monotonic time (milliseconds) at which it was there to be sent: the return of the commit
   */
  enqueue(delivery: Delivery): Promise<number>;
  /** Starts no more attempts, waits for those under way and until their outcomes are in the store, closes connections. */
  stop(): Promise<void>;
  /** Deliveries that the store holds without a finished attempt. */
  countLeft(): Promise<number>;
}

/** What its process is told. */
export interface CourierEnvironment {
  /** An empty database of its own; couriers that need none have none. */
  databaseUrl: string;
  redisUrl: string;
  /** A signing secret; who can sign with it, should. */
  secret: string;
}

/** Deliveries that become due one by one. */
export interface Trickle {
  deliveries: Delivery[];
  perSecond: number;
}
