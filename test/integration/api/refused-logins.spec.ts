import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import request from 'supertest';
import { MessageReader } from '../../support/crash/postgres-wire.js';
import { startTcpRelay, type TcpRelay } from '../../support/crash/tcp-relay.js';
import { openEvents } from '../../support/event-reader.js';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import type { TestRun } from '../../support/global-setup.js';
import { CREATE_IMAGE, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const ENV = { GATEWAY_ROLE: 'api' };
const stage = useStage({ env: ENV });

/** A login of its own, which may do what the gateway needs and no more. */
const ROLE = `test_login_${randomBytes(4).toString('hex')}`;
const PASSWORD = 'as-the-gateway-knows-it';

const PAID_IMAGE = {
  url: 'https://media.example.com/in.png',
  enhancement_type: 'sr2x',
  face_enhance: false,
  output_format: 'png',
  watermark: false,
};

let server: pg.Client;
let database: string;
let relay: TcpRelay;
let gateway: Gateway;
let team: Team;
/** connections of the pools that Postgres did not let in */
let refused = 0;

/** Passes everything, and counts. */
function startCountingRelay({ hostname, port }: URL): Promise<TcpRelay> {
  return startTcpRelay({ host: hostname, port: Number(port) }, ({ client, server: far }) => {
    const messages = new MessageReader(true);
    let isOfPool = true;
    let isIn = false;
    return {
      fromClient: (chunk) => {
        if (chunk.includes('tensorpix-gateway wake-ups')) isOfPool = false;
        far.write(chunk);
      },
      fromServer: (chunk) => {
        for (const { type } of messages.push(chunk)) {
          if (type === 'Z') isIn = true;
          if (type === 'E' && !isIn && isOfPool) refused += 1;
        }
        client.write(chunk);
      },
      serverEnded: () => undefined,
    };
  });
}

/** Those that are still starting were let in before. */
async function endSessions(): Promise<void> {
  await eventually(
    () =>
      server.query(
        `select datname is not null and pg_terminate_backend(pid) from pg_stat_activity
          where datname = $1 or (datname is null and backend_type = 'client backend')`,
        [database],
      ),
    ({ rows }) => rows.length === 0,
  );
}

/** Lets in nobody more and ends the sessions while `run` runs. */
async function whileRefused({ refuse, rename = false, admit }: Refusal, run: () => Promise<void>): Promise<void> {
  await server.query(refuse());
  await endSessions();
  if (rename) await server.query(`alter database ${database} rename to ${database}_`);
  try {
    await run();
  } finally {
    if (rename) await server.query(`alter database ${database}_ rename to ${database}`);
    await server.query(admit());
  }
}

interface Refusal {
  refuse: () => string;
  rename?: boolean;
  admit: () => string;
}

const OTHER_PASSWORD: Refusal = {
  refuse: () => `alter role ${ROLE} password 'another'`,
  admit: () => `alter role ${ROLE} password '${PASSWORD}'`,
};
const NO_CONNECTIONS: Refusal = {
  refuse: () => `alter database ${database} allow_connections false`,
  admit: () => `alter database ${database} allow_connections true`,
};
const REFUSALS: [string, Refusal][] = [
  ['28P01', OTHER_PASSWORD],
  ['28000', { refuse: () => `alter role ${ROLE} nologin`, admit: () => `alter role ${ROLE} login` }],
  [
    '42501',
    {
      refuse: () => `revoke connect on database ${database} from public`,
      admit: () => `grant connect on database ${database} to public`,
    },
  ],
  ['55000', NO_CONNECTIONS],
  ['3D000', { ...NO_CONNECTIONS, rename: true }],
];

async function untilReady(): Promise<void> {
  await eventually(
    async () => (await request(gateway.url).get('/health/ready')).status,
    (status) => status === 200,
  );
}

beforeAll(async () => {
  const url = new URL(stage.databaseUrl);
  database = url.pathname.slice(1);
  server = new pg.Client({ connectionString: (process.env as unknown as TestRun).TEST_SERVER_URL });
  await server.connect();
  await server.query(`create role ${ROLE} login password '${PASSWORD}'`);
  await stage.sql(`grant all on all tables in schema public to ${ROLE}`);
  await stage.sql(`grant all on all sequences in schema public to ${ROLE}`);
  relay = await startCountingRelay(url);
  url.host = `127.0.0.1:${relay.port}`;
  url.username = ROLE;
  url.password = PASSWORD;
  gateway = await startGateway(url.href, stage.simulator.url, ENV);
  team = await stage.team();
});

beforeEach(untilReady);

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
  const owner = new pg.Client({ connectionString: stage.databaseUrl });
  await owner.connect();
  await owner.query(`drop owned by ${ROLE}`);
  await owner.query(`drop role ${ROLE}`);
  await owner.end();
  await server?.end();
});

describe('a login that the database refuses, after the start', () => {
  it.each(REFUSALS)('should be a database that is away: %s', async (_, refusal) => {
    const { auth } = team;
    await request(gateway.url).get('/v1/jobs').set(auth).expect(200);
    await whileRefused(refusal, async () => {
      const answers = [
        await request(gateway.url).get('/v1/jobs').set(auth),
        await request(gateway.url)
          .post('/v1/jobs')
          .set(auth)
          .send({ video_url: sourceUrl(), ml_models: [1] }),
        // In a transaction.
        await request(gateway.url).post('/v1/webhook-endpoints').set(auth).send({ url: 'https://hooks.example.com/' }),
        await request(gateway.url).get('/health/ready'),
      ];
      expect(answers.map(({ status, body }) => [status, (body as { code: string }).code])).toEqual(
        answers.map(() => [503, 'unavailable']),
      );
      for (const { headers } of answers) expect(headers['retry-after']).toBe('5');
    });
    await untilReady();
    expect(gateway.logs()).not.toContain('unexpected error');
  });

  it('should not lose a paid image that TensorPix made meanwhile', async () => {
    const answer = stage.hold(team, { path: CREATE_IMAGE });
    const created = request(gateway.url).post('/v1/images').set(team.auth).send(PAID_IMAGE).then();
    await answer.untilHeld();
    await whileRefused(OTHER_PASSWORD, async () => {
      const before = refused;
      answer.arrive();
      await eventually(
        () => refused,
        (now) => now >= before + 2,
      );
    });
    const { status, body } = await created;
    expect([status, (body as { status: string }).status]).toEqual([201, 'finished']);
    expect(await stage.eventTypes(idOf(await created))).toEqual(['image.submitting', 'image.finished']);
  });

  it('should end no event stream, and tell a new one to come back', async () => {
    const { body } = await request(gateway.url)
      .post('/v1/jobs')
      .set(team.auth)
      .send({ video_url: sourceUrl(), ml_models: [1] })
      .expect(201);
    const { id } = body as { id: string };
    const path = `${gateway.url}/v1/jobs/${id}/events`;
    const reader = await (await openEvents(path, team.auth)).untilEvents(2);
    await whileRefused(OTHER_PASSWORD, async () => {
      const late = await (await openEvents(path, team.auth)).untilOver();
      expect([late.status, late.text]).toEqual([200, ': unavailable\nretry: 5000\n\n']);
      const before = refused;
      await eventually(
        () => refused,
        (now) => now >= before + 2,
      );
      expect(reader.over).toBeNull();
    });
    await stage.sql(
      `with job as (update jobs set status = 'failed', finished_at = now(), sequence = 3 where id = $1 returning *)
       insert into job_events (job_id, sequence, tenant_id, type) select id, 3, tenant_id, 'job.failed' from job`,
      [id],
    );
    await reader.untilOver();
    expect([reader.over, reader.ids]).toEqual(['end', [1, 2, 3]]);
  });
});
