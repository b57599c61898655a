import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { markRolledBack, migrate } from '../../prisma/migrate.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/gateway.js';
import { writeMigration, writeMigrations } from '../support/migrations.js';
import { runNode } from '../support/programs.js';

const FIRST = '20260101000000_first';
const SECOND = '20260102000000_second';
const FIRST_SQL = `
  CREATE TABLE "jobs" ("id" INTEGER PRIMARY KEY, "note" TEXT NOT NULL DEFAULT 'a; b'); -- a comment; and its end
  CREATE FUNCTION touch() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 2; END; $$;
`;
const SECOND_SQL = 'ALTER TABLE "jobs" ADD COLUMN "progress" REAL;';

let database: TestDatabase;
let client: pg.Client;
let migrationsDir: string;

beforeEach(async () => {
  database = await createDatabase({ empty: true });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  migrationsDir = await writeMigrations({ [FIRST]: FIRST_SQL, [SECOND]: SECOND_SQL });
});

afterEach(async () => {
  await client.end();
  await database.drop();
  await fs.rm(migrationsDir, { recursive: true });
});

async function query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
  return (await client.query<Row>(sql)).rows;
}

describe('migrate', () => {
  it('should apply all migrations in the order of their names, and nothing the second time', async () => {
    const lines: string[] = [];
    const options = { migrationsDir, log: (line: string) => lines.push(line) };
    expect(await migrate(database.url, options)).toEqual([FIRST, SECOND]);
    expect(await migrate(database.url, options)).toEqual([]);
    expect(lines).toEqual([`applied ${FIRST}`, `applied ${SECOND}`, 'nothing to apply: 2 migrations are in place']);
    expect(await query('SELECT touch(), (SELECT count(progress) FROM jobs) AS jobs')).toEqual([
      { touch: 2, jobs: '0' },
    ]);
  });

  it('should keep the books as Prisma does, so that its CLI can take over', async () => {
    await migrate(database.url, { migrationsDir });
    const rows = await query(`
      SELECT migration_name, checksum, applied_steps_count, logs, rolled_back_at, length(id) AS id_length,
             finished_at >= started_at AS finished
      FROM _prisma_migrations ORDER BY started_at
    `);
    const row = { applied_steps_count: 1, logs: null, rolled_back_at: null, id_length: 36, finished: true };
    const sha256 = (sql: string): string => createHash('sha256').update(sql).digest('hex');
    expect(rows).toEqual([
      { ...row, migration_name: FIRST, checksum: sha256(FIRST_SQL) },
      { ...row, migration_name: SECOND, checksum: sha256(SECOND_SQL) },
    ]);
  });

  it('should apply each migration once when five processes start at the same time', async () => {
    await writeMigration(migrationsDir, SECOND, `SELECT pg_sleep(0.5); ${SECOND_SQL}`);
    const program = `
      const { migrate } = await import('./prisma/migrate.js');
      console.log(JSON.stringify(await migrate(process.env.DATABASE_URL, { migrationsDir: process.env.DIRECTORY })));
    `;
    const env = { DATABASE_URL: database.url, DIRECTORY: migrationsDir };
    const runs = Array.from({ length: 5 }, () => runNode(['--input-type=module', '--eval', program], env));
    const outcomes = await Promise.all(runs);
    expect(outcomes.map((outcome) => outcome.exitCode)).toEqual([0, 0, 0, 0, 0]);
    expect(outcomes.flatMap((outcome) => JSON.parse(outcome.stdout) as string[])).toEqual([FIRST, SECOND]);
    expect(await query('SELECT count(*)::int FROM _prisma_migrations')).toEqual([{ count: 2 }]);
  });

  it('should say so when another migration keeps it waiting, and give up in the end', async () => {
    await client.query('SELECT pg_advisory_lock(72707369)');
    const lines: string[] = [];
    const waiting = migrate(database.url, { migrationsDir, lockTimeoutMs: 300, log: (line) => lines.push(line) });
    await expect(waiting).rejects.toThrow('another migration has been running');
    expect(lines).toEqual(['waiting for another migration to finish']);
    await client.query('SELECT pg_advisory_unlock(72707369)');
    expect(await migrate(database.url, { migrationsDir })).toEqual([FIRST, SECOND]);
  });

  it('should begin when a transaction that lasts is over, so that nobody has to wait behind both', async () => {
    await fs.rm(`${migrationsDir}/${SECOND}`, { recursive: true });
    await migrate(database.url, { migrationsDir });
    await writeMigration(migrationsDir, SECOND, 'ALTER TABLE "jobs" ADD COLUMN "later" int');
    await client.query('BEGIN');
    await client.query('SELECT * FROM jobs');
    const lines: string[] = [];
    const options = { migrationsDir, log: (line: string) => void lines.push(line) };
    await expect(migrate(database.url, { ...options, lockTimeoutMs: 1 })).rejects.toThrow(/^a transaction of session/);
    const migrating = migrate(database.url, options);
    await eventually(
      () => lines.length,
      (count) => count > 0,
    );
    expect(lines[0]).toMatch(/^waiting for a transaction of session \d+, behind which/);
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query('SELECT * FROM jobs');
    await other.end();
    await client.query('COMMIT');
    expect(await migrating).toEqual([SECOND]);
  });

  it('should leave no session behind, and so no lock', async () => {
    await migrate(database.url, { migrationsDir });
    const others = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;
    // The server takes a moment to end a session that has said goodbye.
    const deadline = Date.now() + 60_000;
    while ((await query(others)).length > 0 && Date.now() < deadline) await new Promise((next) => setTimeout(next, 20));
    expect(await query(others)).toEqual([]);
  });

  it('should put the tables into the schema that the URL names', async () => {
    await migrate(`${database.url}?schema=gateway`, { migrationsDir });
    const tables = await query(
      `SELECT table_schema FROM information_schema.tables WHERE table_name IN ('jobs', '_prisma_migrations')`,
    );
    expect(tables).toEqual([{ table_schema: 'gateway' }, { table_schema: 'gateway' }]);
  });

  it('should warn of a migration that was changed after it had been applied', async () => {
    await migrate(database.url, { migrationsDir });
    await writeMigration(migrationsDir, FIRST, `${FIRST_SQL} -- changed`);
    const lines: string[] = [];
    await migrate(database.url, { migrationsDir, log: (line) => lines.push(line) });
    expect(lines[0]).toBe(`warning: ${FIRST} was changed after it had been applied`);
  });
});

describe('a migration that fails', () => {
  beforeEach(async () => {
    await writeMigration(migrationsDir, SECOND, 'CREATE TABLE "half" ();\nINSERT INTO "jobs" VALUES (1), (1);');
  });

  it('should be told in the words of the database, and leave nothing of itself but its row', async () => {
    const lines: string[] = [];
    const failure = migrate(database.url, { migrationsDir, log: (line) => lines.push(line) });
    await expect(failure).rejects.toThrow(
      `migration ${SECOND} failed:\n` +
        '  duplicate key value violates unique constraint "jobs_pkey" (23505)\n' +
        '  Key (id)=(1) already exists.\n' +
        `Nothing after it was applied. Once the cause is gone: npm run db:migrate -- --rolled-back ${SECOND}`,
    );
    expect(lines).toEqual([`applied ${FIRST}`]);
    expect(await query(`SELECT to_regclass('half') AS half, (SELECT count(*)::int FROM jobs) AS jobs`)).toEqual([
      { half: null, jobs: 0 },
    ]);
    const [row] = await query(`
      SELECT finished_at, rolled_back_at, applied_steps_count, logs FROM _prisma_migrations WHERE migration_name = '${SECOND}'
    `);
    expect(row).toMatchObject({ finished_at: null, rolled_back_at: null, applied_steps_count: 0 });
    expect(row?.['logs']).toContain('jobs_pkey');
  });

  it('should block later runs until it is marked as rolled back', async () => {
    await expect(migrate(database.url, { migrationsDir })).rejects.toThrow('duplicate key');
    await writeMigration(migrationsDir, SECOND, SECOND_SQL);
    await expect(migrate(database.url, { migrationsDir })).rejects.toThrow(`The \`${SECOND}\` migration started at`);
    await markRolledBack(database.url, SECOND);
    expect(await migrate(database.url, { migrationsDir })).toEqual([SECOND]);
  });
});

describe('npm run db:migrate', () => {
  const run = (url: string): ReturnType<typeof runNode> => runNode(['prisma/migrate.js'], { DATABASE_URL: url });

  it('should name the variable that is missing or wrong, and never its value', async () => {
    const wrong = new URL(database.url);
    wrong.password = 'geheim';
    const outcomes = await Promise.all(
      ['', 'mysql://root:geheim@localhost', wrong.href, 'postgresql://u:geheim@x/y@z'].map(run),
    );
    expect(outcomes.map((outcome) => outcome.exitCode)).toEqual([1, 1, 1, 1]);
    expect(outcomes.map((outcome) => outcome.stdout).join('')).toBe('');
    expect(outcomes.map((outcome) => outcome.stderr)).toEqual([
      'DATABASE_URL is not set\n',
      'DATABASE_URL is not a PostgreSQL connection URL (postgresql://user@host:5432/database)\n',
      expect.stringMatching(/^DATABASE_URL: the server refuses its user( or password)? \(28...\)\n$/),
      expect.stringMatching(/^DATABASE_URL: .*\n$/),
    ]);
    for (const { stderr } of outcomes) expect(stderr).not.toContain('geheim');
  });

  it('should understand a password with characters that a URL has to escape', async () => {
    const role = `${database.name}_role`;
    const password = 'a@b/c:d?e%f g';
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    await client.query(`GRANT CREATE ON SCHEMA public TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    url.password = encodeURIComponent(password);
    try {
      expect(await migrate(url.href, { migrationsDir })).toEqual([FIRST, SECOND]);
    } finally {
      await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});
