import pg from 'pg';

/**
 * Removes the template and stops the server, unless databases were kept because tests of their files failed: then the
 * server's directory stays, and the last lines of the run say how to look into it.
 */
export default async function globalTeardown(): Promise<void> {
  const { TEST_SERVER_URL, TEST_TEMPLATE, TEST_PREFIX } = process.env;
  if (!TEST_SERVER_URL || !TEST_TEMPLATE || !TEST_PREFIX) return;
  const server = globalThis.embeddedPostgres;
  const admin = new pg.Client({ connectionString: TEST_SERVER_URL });
  try {
    await admin.connect();
    await admin.query(`DROP DATABASE IF EXISTS ${admin.escapeIdentifier(TEST_TEMPLATE)}`);
    const kept = await findDatabases(admin, TEST_PREFIX);
    await admin.end();
    await server?.stop({ keepData: kept.length > 0 });
    if (kept.length > 0) console.log(describe(kept, server?.dataDir));
  } finally {
    await server?.stop();
  }
}

async function findDatabases(admin: pg.Client, prefix: string): Promise<string[]> {
  const { rows } = await admin.query<{ datname: string }>(
    'SELECT datname FROM pg_database WHERE starts_with(datname, $1::text) ORDER BY datname',
    [prefix],
  );
  return rows.map((row) => row.datname);
}

function describe(kept: string[], dataDir: string | undefined): string {
  const open = dataDir
    ? `\nTo look into them: npx tsx dev/postgres-open.ts ${dataDir}\nThen remove that directory.`
    : '';
  return `\nKept the databases of failed test files:\n${kept.map((name) => `  ${name}`).join('\n')}${open}\n`;
}
