import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { NO_FILTERS, readEngineError, withEngine } from './engine.js';
import { migrate, MIGRATIONS_DIR } from './migrate.js';
import { openSession, parseDatabaseUrl, ToolError } from './session.js';

export const SCHEMA_FILE = fileURLToPath(new URL('schema.prisma', import.meta.url));

/**
 * Names of indexes that stand in a migration and not in schema.prisma, because its language cannot say them (INCLUDE,
 * NULLS LAST). Prisma would drop them; that one difference is accepted, and nothing else is. Partial indexes, indexes on
 * expressions, checks, triggers and functions need no entry: Prisma does not look at them, and so neither does this check.
 *
 * @type {readonly string[]}
 */
export const SQL_ONLY_INDEXES = [];

/**
 * @typedef {object} DifferenceOptions
 * @property {string} [schemaFile]
 * @property {string} [migrationsDir]
 * @property {readonly string[]} [sqlOnlyIndexes]
 */

/**
 * The SQL that leads from what the migrations make to what schema.prisma says; empty when both agree. The migrations are
 * really applied, to a scratch database on the server of `serverUrl`: Prisma's own way to one, the shadow database, leaves a
 * session open that keeps it from being dropped.
 *
 * @param {string | undefined} serverUrl of any database on a server where databases may be created
 * @param {DifferenceOptions} [options]
 * @returns {Promise<string>}
 * @throws {ToolError} for an invalid schema, a migration that fails, or an entry of `sqlOnlyIndexes` that no index needs
 */
export async function findDifference(serverUrl, options = {}) {
  const { schemaFile = SCHEMA_FILE, migrationsDir = MIGRATIONS_DIR, sqlOnlyIndexes = SQL_ONLY_INDEXES } = options;
  const files = [{ path: 'schema.prisma', content: await readFile(schemaFile, 'utf8') }];
  const sql = await withScratchDatabase(serverUrl, async (scratchUrl) => {
    await migrate(scratchUrl, { migrationsDir });
    return withEngine(scratchUrl, async ({ engine }) => {
      const { stdout } = await engine
        .diff({
          // "The database that this schema is for" is the one the engine is connected to.
          from: { tag: 'schemaDatasource', files, configDir: '.' },
          to: { tag: 'schemaDatamodel', files },
          script: true,
          exitCode: null,
          filters: NO_FILTERS,
        })
        .catch((error) => Promise.reject(new ToolError(readEngineError(error).message)));
      return stdout ?? '';
    });
  });
  return withoutSqlOnly(sql, sqlOnlyIndexes);
}

/**
 * Hands the URL of a server to `run`: of the one in DATABASE_URL, else of an embedded one that lives as long as the call. The
 * latter is TypeScript and a development dependency; `tsx` runs it.
 *
 * @template Result
 * @param {(serverUrl: string) => Promise<Result>} run
 * @returns {Promise<Result>}
 */
export async function withServer(run) {
  if (process.env.DATABASE_URL) return run(process.env.DATABASE_URL);
  const { startPostgres } = await import('../dev/postgres.js');
  const server = await startPostgres({ durable: false });
  try {
    return await run(server.adminUrl);
  } finally {
    await server.stop();
  }
}

/**
 * @template Result
 * @param {string | undefined} serverUrl
 * @param {(scratchUrl: string) => Promise<Result>} run
 * @returns {Promise<Result>}
 */
async function withScratchDatabase(serverUrl, run) {
  const { connectionString } = parseDatabaseUrl(serverUrl);
  const { pool } = await openSession(connectionString);
  const name = `scratch_${randomBytes(6).toString('hex')}`;
  try {
    await pool.query(`CREATE DATABASE ${name} TEMPLATE template0`);
    // Only the path changes; taking the URL apart and together again would alter what the driver accepts and `URL` does not.
    return await run(connectionString.replace(/^(\w+:\/\/[^/?]*)(\/[^?]*)?/, `$1/${name}`));
  } finally {
    await pool.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await pool.end();
  }
}

/**
 * The engine's script is a list of blocks, each under a comment that names its kind.
 *
 * @param {string} sql
 * @param {readonly string[]} sqlOnlyIndexes
 * @returns {string}
 */
function withoutSqlOnly(sql, sqlOnlyIndexes) {
  const blocks = sql.trim().split(/\n+(?=-- )/);
  const dropped = new Set(blocks.map((block) => /^-- DropIndex\nDROP INDEX "([^"]+)";$/.exec(block.trim())?.[1]));
  const unused = sqlOnlyIndexes.find((name) => !dropped.has(name));
  if (unused) throw new ToolError(`SQL_ONLY_INDEXES names ${unused}, which Prisma would not drop: remove it there`);

  const accepted = new Set(sqlOnlyIndexes.map((name) => `-- DropIndex\nDROP INDEX "${name}";`));
  const rest = blocks.filter(
    (block) => !accepted.has(block.trim()) && block.trim() !== '-- This is an empty migration.',
  );
  return rest.join('\n\n').trim();
}
