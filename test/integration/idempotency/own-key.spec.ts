import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { startTcpRelay, type TcpRelay } from '../../support/crash/tcp-relay.js';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { CREATE_IMAGE, CREATE_VIDEO, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** No loop runs: what is sent, the request itself sends. */
const ENV = { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '5000' };
const stage = useStage({ env: ENV, simulator: { queueMs: 600_000 } });
let relay: TcpRelay;
let gateway: Gateway;

beforeAll(async () => {
  const url = new URL(stage.databaseUrl);
  // Cuts the gateway off; a session at Postgres that waits for a lock goes on with its statement.
  relay = await startTcpRelay({ host: url.hostname, port: Number(url.port) }, ({ client, server }) => ({
    fromClient: (chunk) => void server.write(chunk),
    fromServer: (chunk) => void client.write(chunk),
    serverEnded: () => undefined,
  }));
  url.host = `127.0.0.1:${relay.port}`;
  gateway = await startGateway(url.href, stage.simulator.url, ENV);
});

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
});

const CREATES = [
  ['a job', '/v1/jobs', CREATE_VIDEO, () => ({ video_url: sourceUrl(), ml_models: [1] })],
  [
    'an image',
    '/v1/images',
    CREATE_IMAGE,
    () => ({
      url: 'https://media.example.com/in.png',
      enhancement_type: 'sr2x',
      face_enhance: false,
      output_format: 'png',
      watermark: false,
    }),
  ],
] as const;

/** Until so many sessions wait for a lock with the statement that writes intents. */
async function untilInsertsWait(count: number): Promise<void> {
  const waiting = `select 1 from pg_stat_activity
                    where datname = current_database() and query like '%given as materialized%' and wait_event_type = 'Lock'`;
  await eventually(
    () => stage.sql(waiting),
    (rows) => rows.length >= count,
  );
}

/** Sends it, and breaks its connection while its row cannot be committed; a repeat of its statement waits too by then. */
async function breakDuring(team: Team, create: () => request.Test): Promise<request.Response> {
  const session = await stage.pool.connect();
  try {
    await session.query('begin');
    const account = `select account_id from tenants where id = $1`;
    await session.query(`select 1 from tensorpix_accounts where id = (${account}) for update`, [team.id]);
    const answer = create().then((response) => response);
    await untilInsertsWait(1);
    relay.cut();
    await untilInsertsWait(2);
    await session.query('rollback');
    return await answer;
  } finally {
    await session.query('rollback');
    session.release();
  }
}

describe('a create with a key whose connection to the database breaks while its row is being committed', () => {
  it.each(CREATES)('should be sent once, and answered: %s', async (_, path, call, bodyOf) => {
    const team = await stage.team();
    const body = bodyOf();
    const create = () => request(gateway.url).post(path).set(team.auth).set('idempotency-key', 'k').send(body);
    await request(gateway.url).get('/v1/jobs').set(team.auth).expect(200);
    expect((await breakDuring(team, create)).status).toBe(201);
    const rows = await stage.rowsOf(team);
    expect(rows.map(({ attempt, lease_token }) => [attempt, lease_token])).toEqual([[1, null]]);
    expect(stage.calls(team, 'POST', call)).toHaveLength(1);
    const again = await create();
    expect([again.status, again.body.id, again.headers['idempotency-replayed']]).toEqual([201, rows[0]?.id, 'true']);
  });
});
