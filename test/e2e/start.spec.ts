import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import pg from 'pg';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { createDatabase, useDatabase, type TestDatabase } from '../support/database.js';
import { endOf, killAll, plainEnv, startGatewayProcess, startProgram } from '../support/gateway-process.js';
import { createTenant, eventually, gatewayEnv } from '../support/gateway.js';
import { freePort } from '../support/ports.js';
import { runNode } from '../support/programs.js';
import { startReceiver } from '../support/receiver.js';

const TOKEN = 'token-0123456789';
const database = useDatabase();
let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator({ tokens: [TOKEN], queueMs: 100, durationMs: 200 });
});

afterAll(async () => {
  await killAll();
  await simulator?.close();
});

/** Starts the program with one variable changed, and waits for its end. */
async function startWith(overrides: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const env = { ...plainEnv(), ...gatewayEnv(database.url(), simulator.url, overrides) };
  const { child, output } = startProgram(['dist/main.js'], env);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: output() };
}

describe('a start that cannot succeed', () => {
  it.concurrent.each([
    ['DATABASE_URL', undefined],
    ['DATABASE_URL', 'mysql://secret-value@localhost/x'],
    ['ADMIN_API_KEY', undefined],
    ['ADMIN_API_KEY', 'secret-value'],
    ['ENCRYPTION_KEYS', undefined],
    ['ENCRYPTION_KEYS', 'k1:secret-value'],
    ['PORT', 'secret-value'],
    ['GATEWAY_ROLE', 'secret-value'],
    ['TENSORPIX_BASE_URL', 'https://secret-value/path'],
    ['CALLBACK_ALLOWED_CIDRS', 'secret-value'],
    ['CALLBACK_RETRY_SCHEDULE_MS', '5,secret-value'],
    ['LOG_LEVEL', 'secret-value'],
  ])('should say so in one line that names %s and not its value %s, and exit with 1', async (name, value) => {
    const { code, output } = await startWith({ [name]: value });
    expect(code).toBe(1);
    expect(output.trimEnd().split('\n')).toHaveLength(1);
    expect(output).toContain(name);
    expect(output).not.toContain('secret-value');
  });

  it.each([
    ['does not exist', () => database.url().replace(/\/[^/?]+(\?|$)/, '/nowhere$1')],
    ['cannot be reached', () => 'postgresql://user:secret-value@127.0.0.1:1/gateway'],
  ])('should say in one line that the database %s', async (fault, url) => {
    const { code, output } = await startWith({ DATABASE_URL: url(), LOG_LEVEL: 'info' });
    expect(code).toBe(1);
    expect(output).toBe(`DATABASE_URL: its database ${fault}\n`);
  });

  it.each([
    ['refuses its user or password', 'password', `alter role ROLE password 'another'`],
    ['refuses its user', 'right to log in', 'alter role ROLE nologin'],
    ['refuses its user', 'right to connect', 'revoke connect on database DB from public'],
    ['takes no connections', 'connections to it', 'alter database DB allow_connections false'],
  ])('should say in one line that the database %s: %s', async (fault, _, refusal) => {
    const own = await createDatabase();
    const role = `test_login_${randomBytes(4).toString('hex')}`;
    const server = new pg.Client({ connectionString: process.env.TEST_SERVER_URL });
    await server.connect();
    await server.query(`create role ${role} login password 'secret-value'`);
    await server.query(refusal.replace('ROLE', role).replace('DB', own.name));
    const url = Object.assign(new URL(own.url), { username: role, password: 'secret-value' });
    const { code, output } = await startWith({ DATABASE_URL: url.href, LOG_LEVEL: 'info' });
    expect([code, output]).toEqual([1, `DATABASE_URL: its database ${fault}\n`]);
    await own.drop();
    await server.query(`drop role ${role}`);
    await server.end();
  });

  it('should show whatever else the database says to whoever connects', async () => {
    const url = `${database.url()}?options=-c%20no_such_setting%3D1`;
    const { code, output } = await startWith({ DATABASE_URL: url, LOG_LEVEL: 'info' });
    expect(code).toBe(1);
    expect(output).toContain('no_such_setting');
    expect(output).toContain('42704');
  });

  it('should say in one line that the database offers no TLS', async () => {
    const { code, output } = await startWith({
      DATABASE_URL: `${database.url()}?sslmode=verify-full`,
      LOG_LEVEL: 'info',
    });
    expect([code, output]).toEqual([1, 'DATABASE_URL: its database offers no TLS, which sslmode asks for\n']);
  });

  it.each([
    ['HOST is no name that can be resolved', () => ({ HOST: 'nowhere.invalid' })],
    ['HOST is no address of this machine', () => ({ HOST: '192.0.2.1' })],
    ['PORT is taken by another process', () => ({ HOST: '127.0.0.1', PORT: new URL(simulator.url).port })],
  ])('should say in one line that %s', async (fault, env) => {
    const { code, output } = await startWith({ ...env(), LOG_LEVEL: 'error' });
    expect([code, output]).toEqual([1, `${fault}\n`]);
  });

  it('should notice at the start that the encryption key is not that of the database', async () => {
    const first = await startGatewayProcess(database.url(), simulator.url);
    await first.end('SIGTERM');
    const key = randomBytes(32).toString('base64');
    const { code, output } = await startWith({ ENCRYPTION_KEYS: `k1:${key}` });
    expect(code).toBe(1);
    expect(output.trimEnd().split('\n').at(-1)).toContain('ENCRYPTION_KEYS');
    expect(output).not.toContain(key);
  });
});

describe('replicas on an empty database', () => {
  let empty: TestDatabase;

  beforeAll(async () => {
    empty = await createDatabase({ empty: true });
  });

  afterAll(async () => {
    await killAll();
    await empty?.drop();
  });

  it('should each migrate and start at the same time', async () => {
    const replica = async () => {
      const migrated = await runNode(['prisma/migrate.js'], { DATABASE_URL: empty.url });
      expect(migrated).toMatchObject({ exitCode: 0 });
      return startGatewayProcess(empty.url, simulator.url);
    };
    const replicas = await Promise.all([replica(), replica()]);
    const tenant = await createTenant(replicas[0].url, TOKEN);
    const answers = await Promise.all(
      replicas.map(({ url }) => fetch(`${url}/v1/jobs`, { headers: { authorization: `Bearer ${tenant.key}` } })),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    for (const { end, output } of replicas) {
      expect(await end('SIGTERM')).toBe(0);
      expect(output()).not.toMatch(/"level":"(error|fatal)"/);
    }
  });

  it('should not be ready, and say why, before the database is migrated', async () => {
    const unmigrated = await createDatabase({ empty: true });
    try {
      const port = await freePort();
      const env = { ...plainEnv(), ...gatewayEnv(unmigrated.url, simulator.url, { PORT: String(port) }) };
      const { child, output } = startProgram(['dist/main.js'], env);
      const state = await eventually(
        async () => {
          if (child.exitCode !== null) return `exit ${child.exitCode}`;
          const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null);
          await answer?.body?.cancel();
          return answer ? `ready ${answer.status}` : 'starting';
        },
        (now) => now !== 'starting',
      );
      expect(['exit 1', 'ready 503']).toContain(state);
      if (state === 'exit 1') expect(output()).toMatch(/migrat/i);
      await endOf(child, 'SIGKILL');
    } finally {
      await unmigrated.drop();
    }
  });
});

describe('a process for the API and one for the work', () => {
  it('should bring jobs to their end together', async () => {
    const receiver = await startReceiver();
    const api = await startGatewayProcess(database.url(), simulator.url, { GATEWAY_ROLE: 'api' });
    const tenant = await createTenant(api.url, TOKEN);
    const create = async (prefer: string): Promise<{ status: number; id: string }> => {
      const headers = { authorization: `Bearer ${tenant.key}`, 'content-type': 'application/json', prefer };
      const callback_events = ['job.queued', 'job.finished'];
      const fields = {
        video_url: 'https://media.example.com/in.mp4',
        ml_models: [1],
        callback_url: receiver.url,
        callback_events,
      };
      const answer = await fetch(`${api.url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(fields) });
      return { status: answer.status, id: ((await answer.json()) as { id: string }).id };
    };
    const plain = await create('');
    const asynchronous = await create('respond-async');
    expect([plain.status, asynchronous.status]).toEqual([201, 202]);
    const pool = new pg.Pool({ connectionString: database.url(), max: 1 });
    const { rows } = await pool.query('select status from jobs where id = $1', [asynchronous.id]);
    await pool.end();
    expect(rows).toEqual([{ status: 'submitting' }]);
    expect(receiver.received).toEqual([]);

    const worker = await startGatewayProcess(database.url(), simulator.url, { GATEWAY_ROLE: 'worker' });
    for (const { id } of [plain, asynchronous])
      await eventually(
        () => receiver.types(id),
        (types) => JSON.stringify(types) === '["job.queued","job.finished"]',
      );
    expect(await worker.end('SIGTERM')).toBe(0);
    expect(await api.end('SIGTERM')).toBe(0);
    await receiver.close();
  });
});
