import pg from 'pg';

type Taken = (error: Error | undefined, client: pg.PoolClient | undefined, release: (error?: unknown) => void) => void;

/**
 * There is no connection, and so no statement was sent: whatever the server says then, it says nothing of the data. The same code
 * on a statement can mean something else: 42501 is a login that may not enter the database, or a table that it may not read.
 * What the driver says is the cause.
 */
export class NoConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = 'NoConnection';
  }
}

/** A pool that tells errors of connecting from those of statements. */
export class ConnectionPool extends pg.Pool {
  override connect(): Promise<pg.PoolClient>;
  override connect(taken: Taken): void;
  override connect(taken?: Taken): Promise<pg.PoolClient> | void {
    const explain = (error: Error): Error => (this.ending ? error : new NoConnection(error));
    if (!taken) return super.connect().catch((error: Error) => Promise.reject(explain(error)));
    super.connect((error, client, release) => taken(error && explain(error), client, release));
  }
}
