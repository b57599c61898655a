import { describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import { Lease } from '../../../src/common/loops/lease.js';
import { BEGINNING, DeliveryClaimsStore } from '../../../src/modules/webhooks/delivery-claims.store.js';
import { MOST_SINGLE, MOST_WAITING, REPLAY_PACE_MS } from '../../../src/modules/webhooks/manual-retries.store.js';
import type { Places } from '../../../src/modules/webhooks/receiver-gate.js';
import { eventually } from '../../support/gateway.js';
import { useStage, type Team } from '../../support/stage.js';
import { fill } from './queue-rows.js';

/** Nothing claims but the tests. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });
const RECEIVER = 'https://hangs.example.com';

async function post(team: Team, path: string, body: object = {}): Promise<Response> {
  return request(stage.gateway.url).post(`/v1/webhook-deliveries${path}`).set(team.auth).send(body);
}

/** Rows of a tenant's queues, for webhooks that there are not. */
async function queue(team: Team, count: number, row: { replayed: boolean; age: string }): Promise<void> {
  await stage.sql(
    `insert into webhook_queues (id, tenant_id, delivery_id, origin, replayed, due_at)
     select gen_random_uuid(), $1, case when $2 then gen_random_uuid() end, $3, $2, now() - $4::interval
       from generate_series(1, $5::int)`,
    [team.id, row.replayed, RECEIVER, row.age, count],
  );
}

async function waiting(team: Team): Promise<{ replays: number; others: number }> {
  const [row] = await stage.sql<{ replays: number; others: number }>(
    `select count(*) filter (where replayed)::int as replays, count(*) filter (where not replayed)::int as others
       from webhook_queues where tenant_id = $1`,
    [team.id],
  );
  return row!;
}

describe('a replay to a receiver that hangs', () => {
  it.each(['oldest', 'receiver'] as const)(
    'should take turns with the webhooks of today, in a claim by %s',
    async (by) => {
      const team = await stage.team();
      await stage.sql('truncate webhook_queues');
      await queue(team, 300, { replayed: true, age: '1 hour' });
      await queue(team, 10, { replayed: false, age: '1 second' });
      const store = stage.gateway.app.get(DeliveryClaimsStore, { strict: false });
      const places: Places = {
        origins: { [RECEIVER]: { free: 64, tenants: { [team.id]: { lane: 'penalised', free: 2 } } } },
        lanes: { proven: 100, new: 100, penalised: 10 },
        tenants: {},
        newFree: 4,
      };
      for (let claims = 0; claims < 10; claims += 1) {
        const lease = new Lease(60_000);
        const { empty, deliveries } =
          by === 'oldest'
            ? await store.claimOldestAnyTenant(lease, places)
            : await store.claimByReceiverAnyTenant(lease, places, BEGINNING);
        expect(deliveries).toEqual([]);
        expect(empty.map(({ manual }) => manual).sort()).toEqual([false, true]);
      }
    },
  );

  it('should not keep a person from trying single ones', async () => {
    const team = await stage.team();
    await stage.video(team, stage.callback);
    const { body } = await stage.get(team, '/v1/webhook-deliveries');
    const [{ id }] = (body as unknown as { data: [{ id: string }] }).data;
    await queue(team, MOST_WAITING, { replayed: true, age: '-1 hour' });
    const since = new Date(Date.now() - 60_000).toISOString();
    expect((await post(team, '/replay', { since })).status).toBe(429);
    expect((await post(team, `/${id}/retry`)).status).toBe(202);
    await queue(team, MOST_SINGLE, { replayed: true, age: '-1 hour' });
    const refused = await post(team, `/${id}/retry`);
    expect([refused.status, refused.body.code, refused.headers['retry-after']]).toEqual([429, 'rate_limited', '60']);
  });
});

describe('replays that are asked for together', () => {
  it('should share their bound and their pace', async () => {
    const team = await stage.team();
    await fill(stage, team.id, 6_000, 'delivered', RECEIVER);
    const since = new Date(Date.now() - 6 * 3_600_000).toISOString();
    // A busy machine's database: a moment later it is another.
    const ask = () =>
      eventually(
        () => post(team, '/replay', { since }),
        ({ status }) => status !== 503,
      );
    const answers = await Promise.all(Array.from({ length: 3 }, ask));
    const replayed = answers.map(({ body }) => (body as { replayed?: number }).replayed ?? 0);
    expect(replayed.reduce((sum, each) => sum + each)).toBe(MOST_WAITING);
    const seconds = await stage.sql<{ count: number }>(
      `select count(*)::int as count from webhook_queues where tenant_id = $1
        group by floor(extract(epoch from due_at) * 1000 / $2::int)`,
      [team.id, 1_000],
    );
    const most = Math.max(...seconds.map(({ count }) => count));
    expect(most).toBeLessThanOrEqual(1_000 / REPLAY_PACE_MS + 1);
  });
});

describe('tests of endpoints', () => {
  it('should be refused while as much waits as may of what the tenant has asked for', async () => {
    const team = await stage.team();
    const made = await request(stage.gateway.url)
      .post('/v1/webhook-endpoints')
      .set(team.auth)
      .send({ url: stage.receiver.url });
    await queue(team, MOST_WAITING + MOST_SINGLE, { replayed: true, age: '-1 hour' });
    const { id } = made.body as { id: string };
    const refused = await request(stage.gateway.url).post(`/v1/webhook-endpoints/${id}/test`).set(team.auth);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
  });
});

describe('replays that are canceled', () => {
  it('should not be sent, but for what is under way; all else stays', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    for (const each of [team, other]) await stage.video(each, stage.callback);
    const since = new Date(Date.now() - 60_000).toISOString();
    const { body } = await stage.get(team, '/v1/webhook-deliveries');
    const [{ id }] = (body as unknown as { data: [{ id: string }] }).data;
    expect((await post(team, '/replay', { since })).body.replayed).toBe(1);
    expect((await post(team, `/${id}/retry`)).status).toBe(202);
    await stage.sql(
      `update webhook_queues set lease_token = gen_random_uuid(), due_at = now() + interval '1 minute'
        where tenant_id = $1 and replayed`,
      [team.id],
    );
    for (let replays = 0; replays < 3; replays += 1) await post(team, '/replay', { since });
    expect((await post(other, '/replay', { since })).body.replayed).toBe(1);
    expect(await waiting(team)).toEqual({ replays: 4, others: 2 });

    const nobody = '01900000-0000-7000-8000-000000000000';
    expect((await post(team, '/replay/cancel', { endpoint_id: nobody })).body.canceled).toBe(0);
    const canceled = await post(team, '/replay/cancel');
    expect([canceled.status, canceled.body]).toEqual([200, { object: 'webhook_replay', canceled: 3 }]);
    expect(await waiting(team)).toEqual({ replays: 1, others: 2 });
    expect(await waiting(other)).toEqual({ replays: 1, others: 1 });
  });
});

describe('the range of a replay', () => {
  it.each([
    ['since', { since: '2099-01-01T00:00:00Z' }],
    ['since', { since: '2099-01-01T00:00:00Z', until: '2099-01-02T00:00:00Z' }],
    ['until', { since: new Date(Date.now() - 3_600_000).toISOString(), until: '2020-01-01T00:00:00Z' }],
    ['since', { since: '2020-01-01T00:00:00Z' }],
    ['since', { since: '2020-01-01T00:00:00Z', until: '2099-01-01T00:00:00Z' }],
  ])('should be refused by the name of %s: %j', async (field, range) => {
    const refused = await post(await stage.team(), '/replay', range);
    expect([refused.status, Object.keys(refused.body.errors as object)]).toEqual([400, [field]]);
  });

  it('should end now, where it is said to end later', async () => {
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const answer = await post(await stage.team(), '/replay', { since, until: '2099-01-01T00:00:00Z' });
    expect([answer.status, answer.body.replayed]).toEqual([202, 0]);
  });
});
