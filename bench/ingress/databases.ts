import * as fs from 'node:fs';
import * as path from 'node:path';
import pg from 'pg';
import { startPostgres, type RunningPostgres } from '../../dev/postgres.js';
import { migrate } from '../../prisma/migrate.js';

const GATEWAY_DATABASE = 'bench_gateway';
const OBVIOUS_DATABASE = 'bench_obvious';

/** One server, with what matters after a power cut turned on, and a database for each stack that records jobs. */
export interface Databases {
  server: RunningPostgres;
  /** of the server's first process, whose children serve the connections */
  serverPid: number;
  gatewayUrl: string;
  obviousUrl: string;
}

export async function startDatabases(): Promise<Databases> {
  const server = await startPostgres({ durable: true });
  const pidFile = fs.readFileSync(path.join(server.dataDir, 'data', 'postmaster.pid'), 'utf8');
  const [gatewayUrl, obviousUrl] = [server.url(GATEWAY_DATABASE), server.url(OBVIOUS_DATABASE)];
  for (const name of [GATEWAY_DATABASE, OBVIOUS_DATABASE]) await query(server.adminUrl, `create database ${name}`);
  await migrate(gatewayUrl);
  await migrate(obviousUrl);
  await simplify(obviousUrl);
  return { server, serverPid: Number.parseInt(pidFile, 10), gatewayUrl, obviousUrl };
}

/**
 * Leaves the obvious stack's `jobs` with a primary key and nothing else: it does not pay for the foreign keys, checks and
 * indexes that only the gateway needs.
 */
async function simplify(url: string): Promise<void> {
  await query(
    url,
    `create table plain_jobs (like jobs including defaults);
     alter table plain_jobs add primary key (id);
     drop table jobs cascade;
     alter table plain_jobs rename to jobs`,
  );
}

/** Committed so far in the gateway's database. Sessions report with a delay, and at the latest when they end. */
export async function readGatewayCommits({ server }: Databases): Promise<number> {
  const [row] = await query<{ commits: string }>(
    server.adminUrl,
    'select xact_commit as commits from pg_stat_database where datname = $1',
    [GATEWAY_DATABASE],
  );
  return Number(row?.commits);
}

export async function query<Row extends pg.QueryResultRow>(
  url: string,
  sql: string,
  values?: unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}
