/**
 * `node prisma/migrate.js` applies the migrations of this directory to the database in DATABASE_URL, without the Prisma CLI:
 * for production images, closed networks and tests. `_prisma_migrations` is written by Prisma's own engine, so that its CLI
 * can take over at any time.
 *
 * `node prisma/migrate.js --rolled-back <name>` is `prisma migrate resolve --rolled-back`: after a failed migration, and once
 * its cause is gone, it lets the migration be tried again.
 */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { lockMigrations, NO_FILTERS, readEngineError, withEngine } from './engine.js';
import { waitForLongTransactions } from './long-transactions.js';
import { runAsProgram } from './program.js';
import { ToolError } from './session.js';

/**
 * @typedef {object} MigrateOptions
 * @property {(line: string) => void} [log] left out: silent
 * @property {string} [migrationsDir] left out: `migrations` beside this file
 * @property {number} [lockTimeoutMs] how long to wait for another run, or for a transaction that uses the tables; left out: five minutes
 */

export const MIGRATIONS_DIR = fileURLToPath(new URL('migrations', import.meta.url));
const LOCK_TIMEOUT_MS = 300_000;

/** Prisma's code for "a migration of an earlier run failed, so nothing is applied". */
const FAILED_BEFORE = 'P3009';
const HOW_TO_RETRY = 'Once the cause is gone: npm run db:migrate -- --rolled-back';

/**
 * Applies what is not applied yet, in the order of the names. Any number of processes may do it at once: one works, the others
 * wait and then find nothing to do. A migration is one transaction unless it says otherwise itself.
 *
 * @param {string | undefined} databaseUrl
 * @param {MigrateOptions} [options]
 * @returns {Promise<string[]>} the names applied by this run
 * @throws {ToolError} for a database that cannot be reached, a migration that fails, or one that failed earlier
 */
export async function migrate(databaseUrl, options = {}) {
  const { log = () => {}, migrationsDir = MIGRATIONS_DIR, lockTimeoutMs = LOCK_TIMEOUT_MS } = options;
  const migrationsList = await readMigrations(migrationsDir);
  return withEngine(databaseUrl, async ({ engine, pool, schema, lastError }) => {
    await lockMigrations(pool, lockTimeoutMs, () => log('waiting for another migration to finish'));
    const before = await readFinished(pool);
    if (migrationsList.migrationDirectories.some(({ path: name }) => !before.includes(name))) {
      await waitForLongTransactions(pool, schema, lockTimeoutMs, log);
    }
    /** @type {unknown} */
    let failure;
    await engine.applyMigrations({ migrationsList, filters: NO_FILTERS }).catch((error) => (failure = error));
    // Asked of the table, not of the engine, which after a failure does not tell what it had applied before.
    const applied = (await readFinished(pool)).filter((name) => !before.includes(name));
    for (const name of applied) log(`applied ${name}`);
    if (failure) throw explain(failure, lastError());

    const input = { migrationsList, filters: NO_FILTERS, optInToShadowDatabase: false };
    const { editedMigrationNames } = await engine.diagnoseMigrationHistory(input);
    for (const name of editedMigrationNames) log(`warning: ${name} was changed after it had been applied`);
    if (applied.length === 0) log(nothingToApply(migrationsList.migrationDirectories.length));
    return applied;
  });
}

/**
 * @param {import('pg').Pool} pool
 * @returns {Promise<string[]>}
 */
async function readFinished(pool) {
  const { rows: found } = await pool.query(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS exists`);
  if (!found[0].exists) return [];
  const { rows } = await pool.query(`
    SELECT migration_name AS name FROM _prisma_migrations
    WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL
    ORDER BY started_at
  `);
  return rows.map((row) => row.name);
}

/**
 * Marks a failed migration as rolled back, so that the next run tries it again.
 *
 * @param {string | undefined} databaseUrl
 * @param {string} migrationName
 * @throws {ToolError} when no such migration has failed
 */
export async function markRolledBack(databaseUrl, migrationName) {
  await withEngine(databaseUrl, async ({ engine, pool, lastError }) => {
    await lockMigrations(pool, LOCK_TIMEOUT_MS, () => {});
    await engine
      .markMigrationRolledBack({ migrationName })
      .catch((error) => Promise.reject(explain(error, lastError())));
  });
}

/**
 * Reads a directory as the engine wants it; one that does not exist is a project before its first migration.
 *
 * @param {string} baseDir
 * @returns {Promise<import('@prisma/schema-engine-wasm/schema_engine_bg').MigrationList>}
 */
export async function readMigrations(baseDir) {
  const entries = await readdir(baseDir, { withFileTypes: true }).catch((error) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const migrationDirectories = await Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(path.join(baseDir, name, 'migration.sql'), 'utf8').catch(() => undefined);
      /** @type {import('@prisma/schema-engine-wasm/schema_engine_bg').JsResult<string, string>} */
      const content = sql === undefined ? { tag: 'error', value: 'unreadable' } : { tag: 'ok', value: sql };
      return { path: name, migrationFile: { path: 'migration.sql', content } };
    }),
  );
  const lockfile = await readFile(path.join(baseDir, 'migration_lock.toml'), 'utf8').catch(() => null);
  return {
    baseDir,
    lockfile: { path: 'migration_lock.toml', content: lockfile },
    shadowDbInitScript: '',
    migrationDirectories,
  };
}

/**
 * A failed migration is told in the words of the database, which the engine leaves out in part.
 *
 * @param {unknown} error
 * @param {import('pg').DatabaseError | undefined} databaseError
 * @returns {ToolError}
 */
function explain(error, databaseError) {
  const { message: engineMessage, migration, code: engineCode } = readEngineError(error);
  if (engineCode === FAILED_BEFORE) return new ToolError(`${engineMessage}\n${HOW_TO_RETRY} <its name>`);
  if (!migration || !databaseError) return new ToolError(engineMessage);

  const { message, code, detail, hint, where } = databaseError;
  const said = [`${message} (${code})`, detail, hint, where].filter((line) => line !== undefined);
  return new ToolError(
    `migration ${migration} failed:\n${said.map((line) => `  ${line}`).join('\n')}\n` +
      `Nothing after it was applied. ${HOW_TO_RETRY} ${migration}`,
  );
}

/** @param {number} count */
function nothingToApply(count) {
  return count === 1
    ? 'nothing to apply: 1 migration is in place'
    : `nothing to apply: ${count} migrations are in place`;
}

/** @param {string[]} args */
async function main(args) {
  const [flag, name, ...rest] = args;
  if (flag === undefined) return void (await migrate(process.env.DATABASE_URL, { log: console.log }));
  if (flag !== '--rolled-back' || !name || rest.length > 0) {
    throw new ToolError('usage: node prisma/migrate.js [--rolled-back <migration>]');
  }
  await markRolledBack(process.env.DATABASE_URL, name);
  console.log(`${name} is marked as rolled back; run db:migrate to apply it again`);
}

await runAsProgram(import.meta.filename, main);
