import { setTimeout as pause } from 'node:timers/promises';
import { ToolError } from './session.js';

/** Who is seen in two looks, so long apart, has a transaction that lasts. */
const LOOK_MS = 1_000;

/**
 * Waits until no transaction that lasts, a dump or a report, has used a table of the schema. A migration would wait for its end
 * itself, and everybody else behind the migration: a waiting ALTER TABLE lets nobody read the table.
 *
 * @param {import('pg').Pool} pool
 * @param {string} schema
 * @param {number} timeoutMs
 * @param {(line: string) => void} log
 * @throws {ToolError} when one still lasts then
 */
export async function waitForLongTransactions(pool, schema, timeoutMs, log) {
  const deadline = performance.now() + timeoutMs;
  let seen = await findUsers(pool, schema);
  let told = false;
  while (seen.size > 0) {
    await pause(LOOK_MS);
    const now = await findUsers(pool, schema);
    const [lasting] = [...now].filter(([transaction]) => seen.has(transaction));
    if (!lasting) return;
    const [, session] = lasting;
    if (performance.now() > deadline) {
      throw new ToolError(`a transaction of ${session} has kept its tables for too long; end it, or migrate later`);
    }
    if (!told) log(`waiting for a transaction of ${session}, behind which a migration would stop everybody`);
    told = true;
    seen = now;
  }
}

/**
 * Transactions with a lock on a table of the schema, as reading and writing take it, and their sessions.
 *
 * @param {import('pg').Pool} pool
 * @param {string} schema
 * @returns {Promise<Map<string, string>>}
 */
async function findUsers(pool, schema) {
  const { rows } = await pool.query(
    `SELECT DISTINCT l.virtualtransaction AS transaction, l.pid, a.application_name AS name
       FROM pg_locks l
       JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
       LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND c.relnamespace = to_regnamespace(quote_ident($1)) AND l.granted AND l.pid <> pg_backend_pid()
        AND l.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')`,
    [schema],
  );
  return new Map(rows.map(({ transaction, pid, name }) => [transaction, `session ${pid}${name ? ` (${name})` : ''}`]));
}
