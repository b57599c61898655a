import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { RunningPostgres } from '../../dev/postgres.js';

/** What the workers learn about the run, as environment variables; `database.ts` reads them. */
export interface TestRun {
  /** A superuser's (or at least CREATEDB) URL of any database on the server. */
  TEST_SERVER_URL: string;
  TEST_TEMPLATE: string;
  /** Begins the name of every database of this run. */
  TEST_PREFIX: string;
}

declare global {
  var embeddedPostgres: RunningPostgres | undefined;
}

/**
 * One Postgres for the whole run, and in it one migrated database that the test files clone: migrating once and copying
 * files is much cheaper than migrating for each of them. With TEST_DATABASE_URL the server is yours and stays up.
 *
 * Jest loads this file in its own way, outside of the mapping of `.js` to `.ts` that tests get. So TypeScript is fetched
 * through tsx, and with `import()`, which `ignoreDynamic` in jest.config.js leaves as it is.
 */
export default async function globalSetup(): Promise<void> {
  let serverUrl = process.env.TEST_DATABASE_URL;
  if (!serverUrl) {
    globalThis.embeddedPostgres = await (await loadPostgres()).startPostgres({ durable: false });
    serverUrl = globalThis.embeddedPostgres.adminUrl;
  }
  const prefix = `test_${randomBytes(3).toString('hex')}`;
  const template = `${prefix}_template`;
  const run: TestRun = { TEST_SERVER_URL: serverUrl, TEST_TEMPLATE: template, TEST_PREFIX: prefix };
  Object.assign(process.env, run);
  await prepareTemplate(serverUrl, template);
}

async function prepareTemplate(serverUrl: string, template: string): Promise<void> {
  const admin = new pg.Client({ connectionString: serverUrl });
  await admin.connect();
  try {
    const name = admin.escapeIdentifier(template);
    await admin.query(`CREATE DATABASE ${name}`);
    const url = new URL(serverUrl);
    url.pathname = `/${template}`;
    await (await loadMigrate()).migrate(url.href);
    // A session on the template, even that of a curious developer, would make every clone of it fail.
    await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  } finally {
    await admin.end();
  }
}

async function loadPostgres(): Promise<typeof import('../../dev/postgres.js')> {
  const { tsImport } = await import('tsx/esm/api');
  return (await tsImport('../../dev/postgres.ts', import.meta.url)) as typeof import('../../dev/postgres.js');
}

function loadMigrate(): Promise<typeof import('../../prisma/migrate.js')> {
  return import('../../prisma/migrate.js');
}
