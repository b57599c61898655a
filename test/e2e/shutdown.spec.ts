import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import pg from 'pg';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { useDatabase } from '../support/database.js';
import { isReady, killAll, startGatewayProcess, type GatewayProcess } from '../support/gateway-process.js';
import { createTenant, eventually, type TestTenant } from '../support/gateway.js';
import { startReceiver, type Receiver } from '../support/receiver.js';

/** A drain that does not end within thirty seconds, with calls of two, is one that hangs: the process then exits with 1. */
const ENV = { TENSORPIX_TIMEOUT_MS: '20000', SHUTDOWN_TIMEOUT_MS: '30000' };
const TOKEN = 'token-0123456789';
const database = useDatabase();
let simulator: Simulator;
let receiver: Receiver;
let pool: pg.Pool;
let tenant: TestTenant | undefined;

beforeAll(async () => {
  simulator = await startSimulator({ tokens: [TOKEN], queueMs: 3_600_000 });
  receiver = await startReceiver();
  pool = new pg.Pool({ connectionString: database.url(), max: 2 });
  pool.on('error', () => undefined);
});

afterAll(async () => {
  await killAll();
  await pool?.end();
  await receiver?.close();
  await simulator?.close();
});

async function start(): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess(database.url(), simulator.url, ENV);
  tenant ??= await createTenant(gateway.url, TOKEN);
  return gateway;
}

function creates(): number {
  return simulator.control.requests().filter(({ method }) => method === 'POST').length;
}

async function create(
  gateway: GatewayProcess,
  fields: object = {},
  headers: object = {},
): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${gateway.url}/v1/jobs`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tenant?.key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ video_url: 'https://media.example.com/in.mp4', ml_models: [1], ...fields }),
  });
  return { status: answer.status, body: await answer.text() };
}

describe('a gateway that is told to stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('should answer what is in flight and exit with 0: %s', async (signal) => {
    const gateway = await start();
    const before = creates();
    simulator.control.addFault({ match: { method: 'POST' }, fault: { kind: 'slow', delay_ms: 1_500 } });
    const answers = Array.from({ length: 30 }, () => create(gateway));
    await eventually(creates, (count) => count === before + 30);
    const ended = gateway.end(signal);
    await eventually(
      () => isReady(gateway.url),
      (ready) => !ready,
    );
    const got = await Promise.all(answers);
    expect(got.map(({ status }) => status)).toEqual(got.map(() => 201));
    expect(await ended).toBe(0);
    simulator.control.clearFaults();
    const { rows } = await pool.query('select 1 from jobs where lease_token is not null');
    expect(rows).toEqual([]);
    expect(creates()).toBe(before + 30);
    expect(gateway.output()).not.toMatch(/"level":"(error|fatal)"/);
  });

  it('should finish the calls of asynchronous creates, and lose none that it could not send', async () => {
    const gateway = await start();
    simulator.control.addFault({ match: { method: 'POST' }, fault: { kind: 'slow', delay_ms: 500 } });
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => create(gateway, {}, { prefer: 'respond-async' })),
    );
    const ids = answers.map(({ body }) => (JSON.parse(body) as { id: string }).id);
    expect(await gateway.end('SIGTERM')).toBe(0);
    simulator.control.clearFaults();
    const states = async (): Promise<Record<string, unknown>[]> =>
      (await pool.query(`select status, attempt, lease_token from jobs where id = any($1)`, [ids])).rows as Record<
        string,
        unknown
      >[];
    const left = await states();
    expect(left).toHaveLength(60);
    for (const row of left)
      expect([
        { status: 'queued', attempt: 1, lease_token: null },
        { status: 'submitting', attempt: 0, lease_token: null },
      ]).toContainEqual(row);

    const next = await start();
    await eventually(states, (rows) => rows.every(({ status, attempt }) => status === 'queued' && attempt === 1));
    expect(await next.end('SIGTERM')).toBe(0);
  });

  it('should finish the webhook that is being sent', async () => {
    const gateway = await start();
    let answered = 0;
    receiver.answer((_, response) => {
      setTimeout(() => {
        answered += 1;
        response.writeHead(204).end();
      }, 1_000);
    });
    const { body } = await create(gateway, { callback_url: receiver.url });
    const { id } = JSON.parse(body) as { id: string };
    await eventually(
      () => receiver.types(id).length,
      (count) => count === 1,
    );
    expect(await gateway.end('SIGTERM')).toBe(0);
    expect(answered).toBe(1);
    const { rows } = await pool.query(
      'select d.status, d.attempts, q.lease_token from webhook_deliveries d left join webhook_queues q on q.id = d.queue_id where d.job_id = $1',
      [id],
    );
    expect(rows).toEqual([{ status: 'delivered', attempts: 1, lease_token: null }]);
  });

  it('should answer 503 with Retry-After to what comes in while it finishes its work', async () => {
    const gateway = await start();
    const open: ServerResponse[] = [];
    receiver.answer((_, response) => void open.push(response));
    const { body } = await create(gateway, { callback_url: receiver.url });
    const { id } = JSON.parse(body) as { id: string };
    await eventually(
      () => receiver.types(id).length,
      (count) => count === 1,
    );
    const ended = gateway.end('SIGTERM');
    const headers = { authorization: `Bearer ${tenant?.key}` };
    const refused = await eventually(
      () => fetch(`${gateway.url}/v1/jobs/${id}`, { headers }),
      ({ status }) => status === 503,
    );
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(await refused.json()).toMatchObject({ status: 503, code: 'unavailable', request_id: expect.any(String) });
    expect((await fetch(`${gateway.url}/health/ready`)).status).toBe(503);
    expect((await fetch(`${gateway.url}/health/live`)).status).toBe(200);
    for (const response of open) response.writeHead(204).end();
    expect(await ended).toBe(0);
  });
});
