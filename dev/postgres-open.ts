/**
 * `tsx dev/postgres-open.ts <directory>` runs Postgres on a directory of an earlier run (or a new one), tells the URLs of its
 * databases, and stops with Ctrl-C. The directory stays.
 */
import pg from 'pg';
import { startPostgres } from './postgres.js';

const [dataDir] = process.argv.slice(2);
if (!dataDir) {
  console.error('usage: tsx dev/postgres-open.ts <directory>');
  process.exit(1);
}

const server = await startPostgres({ dataDir });
const client = new pg.Client({ connectionString: server.adminUrl });
await client.connect();
const { rows } = await client.query<{ datname: string }>(
  'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname',
);
await client.end();
console.log(`Postgres on ${server.dataDir}. Ctrl-C stops it.`);
for (const { datname } of rows) console.log(`  ${server.url(datname)}`);

const forever = setInterval(() => undefined, 60_000);
const stop = (): void => {
  clearInterval(forever);
  void server.stop();
};
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
