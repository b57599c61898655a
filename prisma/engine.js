import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { PrismaPg } from '@prisma/adapter-pg';
import { ColumnTypeEnum, bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg';
import { openSession, ToolError } from './session.js';

/** No table and no enum is managed by anybody but our migrations. */
export const NO_FILTERS = { externalTables: [], externalEnums: [] };

/** The key that Prisma's own CLI locks with, so that its `migrate deploy` and ours exclude each other too. */
const MIGRATION_LOCK = 72707369;
const LOCK_POLL_MS = 250;

/**
 * TypeScript knows this global only from its library for browsers, which a server does not load.
 *
 * @typedef {{ instance: { exports: { __wbindgen_start: () => void } } }} Instantiated
 * @type {{ WebAssembly: { instantiate: (bytes: Uint8Array, imports: object) => Promise<Instantiated> } }}
 */
const { WebAssembly } = Object(globalThis);

// Where the engine leaves its last words. A panic ends it for good, and the call that caused it would never be answered.
Object.assign(globalThis, {
  PRISMA_WASM_PANIC_REGISTRY: {
    set_message(/** @type {string} */ message) {
      throw new Error(`Prisma's schema engine broke down: ${message}`);
    },
  },
});

/** @type {Promise<void> | undefined} */
let loaded;

/**
 * Prisma's schema engine from npm. Its CLI downloads the same engine as a native binary from a host of its own, which a
 * closed network does not reach and which no lockfile pins.
 *
 * The package's main file imports the `.wasm` as a module, which Node does not do without a flag.
 */
function loadEngine() {
  return (loaded ??= (async () => {
    const script = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
    const bytes = await readFile(script.replace(/\.js$/, '.wasm'));
    const { instance } = await WebAssembly.instantiate(bytes, { './schema_engine_bg.js': withUnrefTimers(glue) });
    glue.__wbg_set_wasm(instance.exports);
    instance.exports.__wbindgen_start();
  })());
}

/**
 * The engine limits its wait for the lock with a timer of 10 s that it never clears: every program would run on for that long.
 *
 * @param {object} imports
 */
function withUnrefTimers(imports) {
  const unref = (/** @type {() => void} */ callback, /** @type {number} */ ms) => setTimeout(callback, ms).unref();
  const entries = Object.entries(imports);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, name.startsWith('__wbg_setTimeout_') ? unref : value]),
  );
}

/**
 * Lends an engine on one session to `run`, and closes both.
 *
 * @template Result
 * @param {string | undefined} databaseUrl
 * @param {(lent: import('./session.js').Session & { engine: glue.SchemaEngine }) => Promise<Result>} run
 * @returns {Promise<Result>}
 * @throws {ToolError} when the database cannot be reached
 */
export async function withEngine(databaseUrl, run) {
  await loadEngine();
  const session = await openSession(databaseUrl);
  /** @type {glue.SchemaEngine | undefined} */
  let engine;
  try {
    const adapter = await adapt(session);
    const factory = bindMigrationAwareSqlAdapterFactory({
      provider: adapter.provider,
      adapterName: adapter.adapterName,
      connect: async () => adapter,
      connectToShadowDb: () => Promise.reject(new Error('There is no shadow database here: see difference.js')),
    });
    engine = await glue.SchemaEngine.new({ datamodels: undefined }, () => {}, factory);
    return await run({ ...session, engine });
  } finally {
    engine?.free();
    await session.pool.end();
  }
}

/**
 * Prisma's adapter with two changes.
 *
 * A script goes to the server whole. The original splits it at every `;`, also those in strings, comments and function bodies,
 * and sends the pieces one by one, so that a failure leaves half a migration applied. Sent whole it is one implicit
 * transaction, as the native engine does it.
 *
 * And the catalogs' type `"char"` is known, without which the engine cannot read a database's schema (see session.js).
 *
 * @param {import('./session.js').Session} session
 */
async function adapt(session) {
  const { pool, schema } = session;
  const adapter = await new PrismaPg(pool, { schema }).connect();
  if (adapter.underlyingDriver() !== pool) {
    // It knows a pool by its class; with a second `pg` in node_modules it would connect to some default server instead.
    throw new Error('@prisma/adapter-pg uses another copy of pg than this program');
  }
  adapter.executeScript = async (script) => {
    await adapter.executeRaw({ sql: script, args: [], argTypes: [] });
  };
  const queryRaw = adapter.queryRaw.bind(adapter);
  adapter.queryRaw = async (query) => {
    const result = await queryRaw(query);
    const chars = session.charColumns();
    const columnTypes = result.columnTypes.map((type, index) => (chars[index] ? ColumnTypeEnum.Character : type));
    return { ...result, columnTypes };
  };
  return adapter;
}

/**
 * Takes the lock for the rest of the session. The engine asks for the same lock itself (`pg_advisory_lock`), which succeeds at
 * once because it shares the session. It is taken here first for two reasons: the engine gives up after 10 s, and a session
 * that waits inside `pg_advisory_lock` holds a snapshot, which a `CREATE INDEX CONCURRENTLY` of the run it waits for would
 * wait for in turn.
 *
 * @param {import('pg').Pool} pool
 * @param {number} timeoutMs
 * @param {() => void} onWait called once, if the lock is not free
 * @throws {ToolError} when another run has kept the lock for `timeoutMs`
 */
export async function lockMigrations(pool, timeoutMs, onWait) {
  const deadline = performance.now() + timeoutMs;
  for (let waiting = false; ; waiting = true) {
    const { rows } = await pool.query('SELECT pg_try_advisory_lock($1::bigint) AS locked', [MIGRATION_LOCK]);
    if (rows[0].locked) return;
    if (!waiting) onWait();
    if (performance.now() > deadline) {
      const seconds = Math.round(timeoutMs / 1000);
      throw new ToolError(
        `another migration has been running for ${seconds} s (advisory lock ${MIGRATION_LOCK} is taken)`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
}

/**
 * What an error of the engine says, without the trace of its own source that it carries.
 *
 * @param {unknown} error
 */
export function readEngineError(error) {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s+(\d+: |with |at )/.test(line));
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return { message: lines.join('\n'), migration: /migration_name="([^"]+)"/.exec(text)?.[1], code };
}
