import * as fs from 'node:fs';
import * as path from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../dev/postgres.js';

/** A Postgres with what matters after a power cut turned on. */
export interface BenchPostgres {
  /** of the first process, whose children serve the connections */
  pid: number;
  /** Creates an empty database and returns its URL. */
  createDatabase(name: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startBenchPostgres(): Promise<BenchPostgres> {
  const server = await startPostgres({ durable: true });
  const pidFile = fs.readFileSync(path.join(server.dataDir, 'data', 'postmaster.pid'), 'utf8');
  const createDatabase = async (name: string): Promise<string> => {
    await execute(server.adminUrl, [`create database ${pg.escapeIdentifier(name)}`]);
    return server.url(name);
  };
  return { pid: Number.parseInt(pidFile, 10), createDatabase, stop: () => server.stop() };
}

/** Brings a database to the same state before each measurement: known statistics, no dead rows, nothing to write out. */
export async function tidyDatabase(url: string): Promise<void> {
  await execute(url, ['vacuum (analyze)', 'checkpoint']);
}

async function execute(url: string, statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
