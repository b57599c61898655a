import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { startPostgres } from '../../dev/postgres.js';

let directory: string;

beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'postgres-spec-'));
  // The account that Postgres runs under when the tests run as root has to enter it.
  await fs.chmod(directory, 0o755);
});

afterEach(() => fs.rm(directory, { recursive: true, force: true }));

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}

async function until(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (await condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

describe('startPostgres', () => {
  it('should remove a temporary directory when it stops', async () => {
    const server = await startPostgres({ durable: false });
    expect(await query(server.adminUrl, `SELECT current_setting('listen_addresses') AS addresses`)).toEqual([
      { addresses: '127.0.0.1' },
    ]);
    await server.stop();
    expect(await exists(server.dataDir)).toBe(false);
    await expect(query(server.adminUrl, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
  });

  it('should keep a temporary directory that somebody wants to look into', async () => {
    const server = await startPostgres({ durable: false });
    await server.stop({ keepData: true });
    try {
      expect(await exists(path.join(server.dataDir, 'data', 'PG_VERSION'))).toBe(true);
    } finally {
      await fs.rm(server.dataDir, { recursive: true });
    }
  });

  it('should find its data and its password again in a directory that was named', async () => {
    const options = { dataDir: path.join(directory, 'cluster') };
    const first = await startPostgres(options);
    await query(first.adminUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    const second = await startPostgres(options);
    try {
      expect(await query(second.adminUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    } finally {
      await second.stop();
    }
  });

  it('should start anew where an earlier start was interrupted', async () => {
    const dataDir = path.join(directory, 'cluster');
    await fs.mkdir(path.join(dataDir, 'data'), { recursive: true });
    await fs.writeFile(path.join(dataDir, 'password'), 'of the interrupted start');
    await fs.writeFile(path.join(dataDir, 'data', 'PG_VERSION'), '18');
    const server = await startPostgres({ dataDir, durable: false });
    expect(await query(server.adminUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await server.stop();
  });

  it('should not touch a directory that holds something else', async () => {
    const precious = path.join(directory, 'data', 'precious');
    await fs.mkdir(precious, { recursive: true });
    await expect(startPostgres({ dataDir: directory })).rejects.toThrow('is not empty');
    expect(await exists(precious)).toBe(true);
  });

  it('should tell the reason of the server when it does not start', async () => {
    const server = await startPostgres({ durable: false });
    try {
      const second = startPostgres({ durable: false, port: server.port });
      await expect(second).rejects.toThrow('Address already in use');
    } finally {
      await server.stop();
    }
  });

  it('should end with its parent, even one that is killed and cannot stop it', async () => {
    const dataDir = path.join(directory, 'cluster');
    const parent = spawn(process.execPath, ['--import', 'tsx', 'dev/postgres-open.ts', dataDir], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(parent.stdout, 'data');
    const pidFile = path.join(dataDir, 'data', 'postmaster.pid');
    expect(await exists(pidFile)).toBe(true);
    parent.kill('SIGKILL');
    expect(await until(async () => !(await exists(pidFile)))).toBe(true);
  });
});
