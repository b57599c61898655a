import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { CREATE_IMAGE, CREATE_VIDEO, sourceUrl, useStage, type Team } from '../../support/stage.js';
import { startStatementRelay, type StatementRelay } from '../../support/statement-relay.js';

const ENV = { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '10000' };
const stage = useStage({ env: ENV, simulator: { queueMs: 600_000 } });

let relay: StatementRelay;
let gateway: Gateway;

beforeAll(async () => {
  relay = await startStatementRelay(stage.databaseUrl);
  gateway = await startGateway(relay.url, stage.simulator.url, ENV);
});

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
});

const BODIES = {
  [CREATE_VIDEO]: () => ({ video_url: sourceUrl(), ml_models: [1] }),
  [CREATE_IMAGE]: () => ({
    url: 'https://media.example.com/in.png',
    enhancement_type: 'sr2x',
    face_enhance: false,
    output_format: 'png',
    watermark: false,
  }),
};

async function create(team: Team, kind: typeof CREATE_VIDEO | typeof CREATE_IMAGE) {
  const path = kind === CREATE_VIDEO ? '/v1/jobs' : '/v1/images';
  return request(gateway.url).post(path).set(team.auth).send(BODIES[kind]());
}

/** Every session of a gateway ends, and has ended then; those that follow write, or do not, as a primary and a standby do. */
async function failOver(writes: boolean): Promise<void> {
  const [database] = await stage.sql<{ name: string }>('select quote_ident(current_database()) as name');
  const change = writes ? 'reset default_transaction_read_only' : 'set default_transaction_read_only = on';
  const client = await stage.pool.connect();
  try {
    await client.query('set default_transaction_read_only = off');
    await client.query(`alter database ${database?.name} ${change}`);
    await client.query(
      `select pg_terminate_backend(pid, 30000) from pg_stat_activity
        where datname = current_database() and application_name = 'tensorpix-gateway'`,
    );
  } finally {
    client.release();
  }
}

/** How often the gateway has tried to write a change of a job. */
function tries(): number {
  return relay.sent.filter(({ sql }) => sql.includes('changed as (')).length;
}

describe('a database that takes no writes for a moment, as in a failover', () => {
  it.each([CREATE_VIDEO, CREATE_IMAGE] as const)(
    'should not cost the answer that TensorPix has given meanwhile: %s',
    async (kind) => {
      const team = await stage.team();
      const held = stage.hold(team, { path: kind });
      const answer = create(team, kind);
      await held.untilHeld();
      const before = tries();
      await failOver(false);
      try {
        held.arrive();
        // The first of them was refused before there was a second.
        await eventually(tries, (count) => count >= before + 2);
      } finally {
        await failOver(true);
      }
      expect((await answer).status).toBe(201);
      const [row] = await stage.rowsOf(team);
      expect(row?.status).toBe(kind === CREATE_VIDEO ? 'queued' : 'finished');
      expect(stage.calls(team, 'POST', kind)).toHaveLength(1);
    },
  );

  it('should be told as 503 to whoever asks for a write, with a Retry-After', async () => {
    const team = await stage.team();
    await failOver(false);
    try {
      const refused = await create(team, CREATE_VIDEO);
      expect([refused.status, refused.body.code]).toEqual([503, 'unavailable']);
      expect(refused.headers['retry-after']).toBeDefined();
    } finally {
      await failOver(true);
    }
    await eventually(
      async () => (await request(gateway.url).get('/v1/jobs').set(team.auth)).status,
      (status) => status === 200,
    );
    expect((await create(team, CREATE_VIDEO)).status).toBe(201);
    expect(stage.creates(team)).toBe(1);
  });
});
