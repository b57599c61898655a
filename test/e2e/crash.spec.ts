import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { useDatabase } from '../support/database.js';
import { killAll, startGatewayProcess } from '../support/gateway-process.js';
import { createTenant, eventually } from '../support/gateway.js';
import { startReceiver, type Receiver } from '../support/receiver.js';

const JOBS = 100;
const TOKEN = 'token-0123456789';
const ENV = {
  TENSORPIX_TIMEOUT_MS: '1000',
  RECONCILE_GRACE_MS: '500',
  CALLBACK_RETRY_SCHEDULE_MS: '50,50,50,50,50,50,50,50',
};

interface Row {
  id: string;
  status: string;
  attempt: number;
  tensorpix_id: string | null;
  url: string;
}

interface Answer {
  status: number;
  id: string;
  url: string;
}

const database = useDatabase();
let simulator: Simulator;
let receiver: Receiver;
let pool: pg.Pool;

beforeAll(async () => {
  simulator = await startSimulator({ tokens: [TOKEN], queueMs: 200, durationMs: 600, latencyMs: 150, logBodies: true });
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

async function rows(): Promise<Row[]> {
  const { rows: found } = await pool.query<Row>(
    `select id, status, attempt, tensorpix_id, input->>'video_url' as url from jobs order by id`,
  );
  return found;
}

/** How often TensorPix was asked to make a job, by source. */
function creates(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { method, body } of simulator.control.requests()) {
    const url = method === 'POST' ? (body as { video_url?: string } | null)?.video_url : undefined;
    if (url !== undefined) counts.set(url, (counts.get(url) ?? 0) + 1);
  }
  return counts;
}

/** Every third job is asynchronous. Null: the connection broke before an answer. */
async function create(gatewayUrl: string, key: string, index: number): Promise<Answer | null> {
  const url = `https://media.example.com/${index}.mp4`;
  const headers = {
    authorization: `Bearer ${key}`,
    'content-type': 'application/json',
    ...(index % 3 === 0 && { prefer: 'respond-async' }),
  };
  const body = JSON.stringify({ video_url: url, ml_models: [1], callback_url: receiver.url });
  try {
    const answer = await fetch(`${gatewayUrl}/v1/jobs`, { method: 'POST', headers, body });
    return { status: answer.status, id: ((await answer.json()) as { id: string }).id, url };
  } catch {
    return null;
  }
}

/** A few callers, one job after another each. */
async function createAll(gatewayUrl: string, key: string): Promise<Answer[]> {
  let next = 0;
  const answers: Answer[] = [];
  const caller = async (): Promise<void> => {
    while (next < JOBS) {
      const answer = await create(gatewayUrl, key, next++);
      if (answer) answers.push(answer);
    }
  };
  await Promise.all(Array.from({ length: 12 }, caller));
  return answers;
}

describe('a gateway that is killed in the middle of a hundred jobs', () => {
  it('should lose nothing, repeat nothing, and call back for every job that it had answered', async () => {
    const first = await startGatewayProcess(database.url(), simulator.url, ENV);
    const tenant = await createTenant(first.url, TOKEN);
    const creating = createAll(first.url, tenant.key);
    await eventually(
      () => creates().size,
      (count) => count >= JOBS / 2,
    );
    expect(await first.end('SIGKILL')).toBeNull();
    const answers = await creating;
    const atKill = await rows();
    const underWay = atKill.filter(({ status, attempt }) => status === 'submitting' && attempt > 0);
    expect(underWay.length).toBeGreaterThan(0);
    expect(answers.length).toBeGreaterThan(10);
    expect(answers.length).toBeLessThan(JOBS);

    await startGatewayProcess(database.url(), simulator.url, ENV);
    // Time passes: the leases of the dead process expire.
    await pool.query(
      `update jobs set lease_expires_at = now() - interval '1 second' where lease_token is not null and id = any($1)`,
      [underWay.map(({ id }) => id)],
    );
    const ended = await eventually(rows, (all) => all.every(({ status }) => status === 'finished'), 60_000);

    const byId = new Map(ended.map((row) => [row.id, row]));
    for (const { id, url, status } of answers) {
      expect([201, 202]).toContain(status);
      expect(byId.get(id)?.url).toBe(url);
    }
    // What TensorPix had got was adopted, what it had not got was sent again: one job a row, and one row a job.
    expect(simulator.control.summary().jobs).toBe(ended.length);
    expect(new Set(ended.map(({ tensorpix_id }) => tensorpix_id)).size).toBe(ended.length);
    const calls = creates();
    for (const url of calls.keys()) expect(ended.map((row) => row.url)).toContain(url);
    for (const { url } of ended.filter(({ id }) => !underWay.some((row) => row.id === id)))
      expect(`${url} ${calls.get(url)}`).toBe(`${url} 1`);
  });

  it('should have called back in order, at least once, with nothing left over', async () => {
    await eventually(
      () => pool.query(`select 1 from webhook_deliveries where status <> 'delivered'`),
      ({ rowCount }) => rowCount === 0,
    );
    const finished = (await rows()).filter(({ status }) => status === 'finished');
    for (const { id } of finished) {
      const webhooks = receiver.received.filter(({ json }) => json.data.id === id).map(({ json }) => json);
      const firsts = webhooks.filter(
        ({ data }, i) => webhooks.findIndex((other) => other.data.sequence === data.sequence) === i,
      );
      const sequences = firsts.map(({ data }) => data.sequence);
      expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
      expect(firsts[0]?.type).toBe('job.queued');
      expect(firsts.at(-1)?.type).toBe('job.finished');
    }
    const { rows: gaps } = await pool.query(
      `select j.id from jobs j join job_events e on e.job_id = j.id group by j.id, j.sequence
        having count(*) <> j.sequence or max(e.sequence) <> j.sequence or min(e.sequence) <> 1`,
    );
    expect(gaps).toEqual([]);
  });
});
