import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import pg from 'pg';
import request from 'supertest';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { useDatabase } from '../../support/database.js';
import { openEvents } from '../../support/event-reader.js';
import { createTenant, eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { holdAnswer } from '../../support/held-answers.js';

const TOKEN = 'token-0123456789';
const VIDEO = { video_url: 'https://media.example.com/in.mp4', ml_models: [1] };

/** A wire to Postgres that can be cut. */
class Wire {
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  cut = false;
  /** connections that were not let through */
  refused = 0;

  constructor(target: URL) {
    this.server = createServer((near) => {
      if (this.cut) {
        this.refused += 1;
        return void near.destroy();
      }
      const far = connect(Number(target.port), target.hostname);
      for (const socket of [near, far]) {
        this.sockets.add(socket);
        socket.on('error', () => undefined).on('close', () => (near.destroy(), far.destroy()));
      }
      near.pipe(far).pipe(near);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return (this.server.address() as AddressInfo).port;
  }

  sever(): void {
    this.cut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Whoever is connected hears nothing any more; new connections work. */
  freeze(): void {
    for (const socket of this.sockets) socket.unpipe().pause();
  }

  close(): void {
    this.sever();
    this.server.close();
  }
}

const database = useDatabase();

/** Past the wire. */
async function direct(sql: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: database.url() });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

async function wakeUpSessions(): Promise<number[]> {
  const rows = await direct(
    `select pid from pg_stat_activity
      where datname = current_database() and application_name = 'tensorpix-gateway wake-ups'`,
  );
  return rows.map((row) => (row as { pid: number }).pid);
}

describe('a database that is away', () => {
  let simulator: Simulator;
  let wire: Wire;
  let gateway: Gateway;
  let auth: { authorization: string };

  beforeAll(async () => {
    simulator = await startSimulator({ tokens: [TOKEN] });
    const url = new URL(database.url());
    wire = new Wire(new URL(url));
    url.host = `127.0.0.1:${await wire.listen()}`;
    gateway = await startGateway(url.href, simulator.url, { GATEWAY_ROLE: 'api' });
    auth = { authorization: `Bearer ${(await createTenant(gateway.url, TOKEN)).key}` };
    await request(gateway.url).get('/v1/jobs').set(auth).expect(200);
  });

  afterAll(async () => {
    await gateway?.close();
    wire?.close();
    await simulator?.close();
  });

  it('should be a 503 with Retry-After, for probes too, and be over when it is back', async () => {
    wire.sever();
    for (const path of ['/v1/jobs', '/health/ready']) {
      const answer = await request(gateway.url).get(path).set(auth);
      expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
      expect(answer.headers['retry-after']).toBeDefined();
    }
    const refused = await request(gateway.url).post('/v1/jobs').set(auth).send(VIDEO);
    expect([refused.status, refused.body.code]).toEqual([503, 'unavailable']);
    expect(simulator.state.jobs.size).toBe(0);
    wire.cut = false;
    await eventually(
      async () => (await request(gateway.url).get('/health/ready')).status,
      (status) => status === 200,
    );
  });

  it('should not lose what TensorPix has answered meanwhile, nor end the process (wait=0)', async () => {
    const answer = holdAnswer(simulator, { method: 'POST' });
    const created = await request(gateway.url)
      .post('/v1/jobs')
      .set(auth)
      .set('prefer', 'wait=0')
      .send(VIDEO)
      .expect(202);
    await answer.untilHeld();
    wire.sever();
    const before = wire.refused;
    answer.arrive();
    await eventually(
      () => wire.refused,
      (refused) => refused > before,
    );
    wire.cut = false;
    const read = async (): Promise<{ status: string; tensorpix_id: number }> =>
      (await request(gateway.url).get(`/v1/jobs/${created.body.id}`).set(auth)).body as never;
    const job = await eventually(read, ({ status }) => status === 'queued');
    expect(job.tensorpix_id).toBe([...simulator.state.jobs.keys()][0]);
  });

  it('should hold up nobody for long when it vanished without a word, and be over with the connections to it', async () => {
    // Many connections, so that going through one after the other would not end in time.
    await Promise.all(Array.from({ length: 40 }, () => request(gateway.url).get('/v1/jobs').set(auth).expect(200)));
    const before = await eventually(wakeUpSessions, (pids) => pids.length === 1);
    wire.freeze();
    const answers = await Promise.all([
      request(gateway.url).post('/v1/jobs').set(auth).send(VIDEO),
      request(gateway.url).get('/health/ready'),
      // In a transaction.
      request(gateway.url).post('/v1/webhook-endpoints').set(auth).send({ url: 'https://hooks.example.com/' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
    await request(gateway.url).get('/health/ready').expect(200);
    await request(gateway.url).post('/v1/jobs').set(auth).send(VIDEO).expect(201);
    // What is to be done is told to other replicas, soon over a new connection.
    await request(gateway.url).post('/v1/jobs').set(auth).set('prefer', 'respond-async').send(VIDEO).expect(202);
    await eventually(wakeUpSessions, (pids) => pids.some((pid) => !before.includes(pid)));
  });

  it('should end no event stream, which goes on when it is back, and should tell a new one to come back', async () => {
    const { body } = await request(gateway.url).post('/v1/jobs').set(auth).send(VIDEO).expect(201);
    const { id } = body as { id: string };
    const path = `${gateway.url}/v1/jobs/${id}/events`;
    const reader = await (await openEvents(path, auth)).untilEvents(2);
    wire.sever();
    const late = await (await openEvents(path, { ...auth, 'x-request-id': 'late' })).untilOver();
    expect([late.status, late.text, late.headers['x-request-id']]).toEqual([
      200,
      ': unavailable\nretry: 5000\n\n',
      'late',
    ]);
    await direct(
      `with job as (update jobs set status = 'failed', finished_at = now(), sequence = 3 where id = $1 returning *)
       insert into job_events (job_id, sequence, tenant_id, type) select id, 3, tenant_id, 'job.failed' from job`,
      [id],
    );
    await eventually(gateway.logs, (logs) => logs.includes('cannot be looked at'));
    expect(reader.over).toBeNull();
    wire.cut = false;
    await reader.untilOver();
    expect([reader.over, reader.ids]).toEqual(['end', [1, 2, 3]]);
  });
});
