import pg from 'pg';
import { onAnswer } from './vanished-connections.js';

type Taken = (error: Error | undefined, client: pg.PoolClient | undefined, release: (error?: unknown) => void) => void;

/**
 * There is no connection, and so no statement was sent: whatever the server says then, it says nothing of the data. The same code
 * on a statement can mean something else: 42501 is a login that may not enter the database, or a table that it may not read.
 * What the driver says is the cause.
 */
export class NoConnection extends Error {
  override name = 'NoConnection';

  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** The database answers, but no connection to it became free in time: more is asked than it can do. */
export class NoFreeConnection extends NoConnection {
  override name = 'NoFreeConnection';
}

/** What the pool says when none was free, or came, in time; the error has no code. */
const WAITED_IN_VAIN = 'timeout exceeded when trying to connect';

/** A pool that tells errors of connecting from those of statements, and having too much to do from a database that is away. */
export class ConnectionPool extends pg.Pool {
  private answeredAtMs = 0;

  constructor(options: pg.PoolConfig) {
    super(options);
    this.on('connect', (client) => onAnswer(client, () => (this.answeredAtMs = performance.now())));
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(taken: Taken): void;
  override connect(taken?: Taken): Promise<pg.PoolClient> | void {
    const sinceMs = performance.now();
    const explain = (error: Error): Error => this.explain(error, sinceMs);
    if (!taken) return super.connect().catch((error: Error) => Promise.reject(explain(error)));
    super.connect((error, client, release) => taken(error && explain(error), client, release));
  }

  private explain(error: Error, sinceMs: number): Error {
    if (this.ending) return error;
    // It says the same when all connections lead to a database that has vanished.
    const isBusy = error.message === WAITED_IN_VAIN && this.answeredAtMs > sinceMs;
    return isBusy ? new NoFreeConnection(error) : new NoConnection(error);
  }
}
