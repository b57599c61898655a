import { URLSearchParams } from 'node:url';
import pg from 'pg';

/** A failure whose message is meant for the person at the terminal: no stack is needed, no secret is in it. */
export class ToolError extends Error {}

const CONNECT_TIMEOUT_MS = 15_000;

/** What stands in a message instead of what the driver says, which can repeat parts of the URL. By SQLSTATE or errno. */
const CONNECTION_FAILURES = new Map([
  ['ECONNREFUSED', 'nothing listens at its host and port'],
  ['ENOTFOUND', 'its host is not known'],
  ['EAI_AGAIN', 'its host could not be looked up'],
  ['ETIMEDOUT', 'its host does not answer'],
  ['ENOENT', 'its socket does not exist'],
  ['28P01', 'the server refuses its user or password'],
  ['28000', 'the server refuses its user'],
  ['3D000', 'its database does not exist'],
  ['53300', 'the server has no connection left'],
  ['57P03', 'the server is starting up'],
]);

/**
 * Splits Prisma's own parameter `schema` off a connection URL: the `pg` driver does not know it, so it becomes the search
 * path. Everything else (`sslmode`, sockets as `?host=/directory`, percent-encoding) is left to the driver.
 *
 * @param {string | undefined} databaseUrl
 * @param {string} [variable] the environment variable that errors name
 * @returns {{ connectionString: string, schema: string }}
 * @throws {ToolError} when the URL is missing or not one of PostgreSQL
 */
export function parseDatabaseUrl(databaseUrl, variable = 'DATABASE_URL') {
  if (!databaseUrl) throw new ToolError(`${variable} is not set`);
  if (!/^postgres(ql)?:\/\//.test(databaseUrl)) {
    throw new ToolError(`${variable} is not a PostgreSQL connection URL (postgresql://user@host:5432/database)`);
  }
  const [base, query = ''] = databaseUrl.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  const schema = parameters.get('schema') || 'public';
  if (!/^[A-Za-z_][\w$]*$/.test(schema)) throw new ToolError(`${variable}: the schema in it is not a plain name`);
  // The others stay as they are written: the driver does not read all of what URLSearchParams would make of them.
  const kept = query.split('&').filter((parameter) => parameter !== '' && !/^(schema|options)(=|$)/.test(parameter));
  const searchPath = schema === 'public' ? '' : `-c search_path="${schema}"`;
  const options = `${parameters.get('options') ?? ''} ${searchPath}`.trim();
  if (options !== '') kept.push(`options=${encodeURIComponent(options)}`);
  return { connectionString: kept.length > 0 ? `${base}?${kept.join('&')}` : String(base), schema };
}

/**
 * @typedef {object} Session
 * @property {pg.Pool} pool
 * @property {string} schema
 * @property {() => pg.DatabaseError | undefined} lastError of the statements so far
 * @property {() => boolean[]} charColumns which columns of the last result were of the type `"char"`
 */

/**
 * Opens one session and hands it out as a pool, which is what Prisma's adapter takes. It is never more than one, because
 * advisory locks and `SET` belong to a session. A plain `pg.Pool` will not do: its `query` closes the session after any
 * failed statement, and with it the lock.
 *
 * @param {string | undefined} databaseUrl
 * @param {string} [variable] the environment variable that errors name
 * @returns {Promise<Session>}
 * @throws {ToolError} naming the variable and the reason, never its value
 */
export async function openSession(databaseUrl, variable = 'DATABASE_URL') {
  const { connectionString, schema } = parseDatabaseUrl(databaseUrl, variable);
  /** @type {pg.DatabaseError | undefined} */
  let lastError;
  /** @type {boolean[]} */
  let charColumns = [];
  /** @type {pg.Pool | undefined} */
  let pool;
  try {
    pool = new pg.Pool({
      connectionString,
      max: 1,
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'tensorpix-gateway-migrate',
    });
    // A session that breaks while it is idle is noticed by the next statement; without a listener it would end the process.
    pool.on('error', () => {});
    const opened = pool;
    const query = async (/** @type {pg.QueryConfig} */ statement, /** @type {unknown[]} */ values) => {
      const client = await opened.connect();
      try {
        const result = await client.query(statement, values);
        // A script of several statements has several results, and none that anybody reads.
        if (!Array.isArray(result)) charColumns = readCatalogChars(result.fields);
        return result;
      } catch (error) {
        if (error instanceof pg.DatabaseError) lastError = error;
        throw error;
      } finally {
        client.release();
      }
    };
    pool.query = /** @type {typeof pool.query} */ (query);
    if (schema !== 'public') await pool.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(schema)}`);
    else await pool.query('SELECT 1');
    return { pool, schema, lastError: () => lastError, charColumns: () => charColumns };
  } catch (error) {
    await pool?.end();
    throw new ToolError(`${variable}: ${whyUnreachable(error)}`);
  }
}

/**
 * The system catalogs have columns of an internal type `"char"` (oid 18), which Prisma's adapter refuses as unknown. They are
 * passed off as text here, and given back their type in engine.js, because the engine insists on it.
 *
 * @param {pg.FieldDef[]} fields
 */
function readCatalogChars(fields) {
  const found = fields.map((field) => field.dataTypeID === pg.types.builtins.CHAR);
  for (const [index, field] of fields.entries()) if (found[index]) field.dataTypeID = pg.types.builtins.TEXT;
  return found;
}

/**
 * @param {unknown} error
 * @returns {string}
 */
function whyUnreachable(error) {
  const inner = error instanceof AggregateError ? error.errors[0] : error;
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : undefined;
  const reason = code && CONNECTION_FAILURES.get(code);
  if (reason) return `${reason} (${code})`;
  return code ? `cannot connect (${code})` : 'cannot connect with it';
}
