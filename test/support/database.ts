import { randomBytes } from 'node:crypto';
import * as path from 'node:path';
import { beforeAll, expect } from '@jest/globals';
import pg from 'pg';
import type { TestRun } from './global-setup.js';

export interface TestDatabase {
  name: string;
  url: string;
  /** Cuts what is still connected. */
  drop(): Promise<void>;
}

/** Postgres cuts identifiers off at 63 bytes; a cut name could be the one of another file. */
const MAX_NAME_LENGTH = 63;

/**
 * Gives the test file (or the describe block) a migrated database of its own. Call it outside of hooks, above hooks that use
 * the database: it is made in `beforeAll`. It is dropped when everything of the file is closed and has passed, else it is kept
 * and named at the end of the run.
 */
export function useDatabase(): { url(): string } {
  let database: TestDatabase | undefined;
  beforeAll(async () => {
    database = await createDatabase();
    globalThis.testDatabases.push(database.name);
  });
  return {
    url: () => {
      if (!database) throw new Error('useDatabase() makes the database in beforeAll; it is not there yet');
      return database.url;
    },
  };
}

/** For a test that needs a database more. `empty`: without the project's tables. The caller drops it. */
export async function createDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const { TEST_SERVER_URL, TEST_TEMPLATE, TEST_PREFIX } = process.env as unknown as TestRun;
  const name = nameDatabase(TEST_PREFIX, expect.getState().testPath ?? '');
  const quoted = pg.escapeIdentifier(name);
  const template = options.empty ? 'template0' : pg.escapeIdentifier(TEST_TEMPLATE);
  await execute(TEST_SERVER_URL, `CREATE DATABASE ${quoted} TEMPLATE ${template}`);
  const url = new URL(TEST_SERVER_URL);
  url.pathname = `/${name}`;
  const drop = (): Promise<void> => execute(TEST_SERVER_URL, `DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`);
  return { name, url: url.href, drop };
}

function nameDatabase(prefix: string, testPath: string): string {
  const unique = randomBytes(3).toString('hex');
  const file = path.basename(testPath, '.spec.ts').replaceAll(/\W+/g, '_').toLowerCase();
  return `${prefix}_${file.slice(0, MAX_NAME_LENGTH - prefix.length - unique.length - 2)}_${unique}`;
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
