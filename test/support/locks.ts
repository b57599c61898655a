import type pg from 'pg';
import { eventually } from './gateway.js';

/** Does something while another session holds the locks of a statement, or until `run` commits. */
export async function whileHeld(
  pool: pg.Pool,
  statement: string,
  values: unknown[],
  run: (session: pg.PoolClient) => Promise<void>,
): Promise<void> {
  const session = await pool.connect();
  try {
    await session.query('begin');
    await session.query(statement, values);
    await run(session);
  } finally {
    session.release(true);
  }
}

/** Until a statement in this database waits for a lock. */
export async function untilBlocked(database: { sql(text: string): Promise<unknown[]> }): Promise<void> {
  await eventually(
    () =>
      database.sql(`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`),
    (waiting) => waiting.length > 0,
  );
}
