import { describe, expect, it } from '@jest/globals';
import { Lease } from '../../../src/common/loops/lease.js';
import { BEGINNING, DeliveryClaimsStore } from '../../../src/modules/webhooks/delivery-claims.store.js';
import { DueSearch } from '../../../src/modules/webhooks/due-search.js';
import { WebhooksDispatcher } from '../../../src/modules/webhooks/webhooks.dispatcher.js';
import { WebhooksSweeper } from '../../../src/modules/webhooks/webhooks.sweeper.js';
import {
  CONNECTIONS_AN_ORIGIN,
  PLACES,
  ReceiverGate,
  type Places,
} from '../../../src/modules/webhooks/receiver-gate.js';
import { eventually } from '../../support/gateway.js';
import { startReceiver } from '../../support/receiver.js';
import { useStage, type Team } from '../../support/stage.js';

/** Nothing claims but the tests. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

describe('a tenant whose receiver hangs', () => {
  it('should hold up no other tenant at the same host and port (invariant 16)', async () => {
    const dispatcher = stage.gateway.app.get(WebhooksDispatcher, { strict: false });
    const untilReceived = (path: string, count: number) =>
      eventually(
        async () => {
          await dispatcher.tick();
          return shared.received.filter((webhook) => webhook.path === path).length;
        },
        (received) => received >= count,
      );
    const shared = await startReceiver();
    shared.answer(({ path }, response) => {
      if (path !== '/hangs') response.writeHead(204).end();
    });
    const [hanging, quick] = [await stage.team(), await stage.team()];
    const video = (team: Team, path: string) =>
      stage.video(team, { callback_url: shared.url + path, callback_events: ['job.queued'] });
    try {
      for (let i = 0; i < 30; i += 1) await video(hanging, '/hangs');
      await untilReceived('/hangs', PLACES.new.each);
      // Longer than a receiver may take that does not let us wait.
      await stage.sql('select pg_sleep(1.2)');
      for (let i = 0; i < 10; i += 1) await video(quick, '/quick');
      await untilReceived('/quick', 10);
      const [attempts] = await stage.sql<{ n: number }>(
        `select count(*)::int as n from webhook_attempts a join webhook_deliveries d on d.id = a.delivery_id
          where d.tenant_id = $1`,
        [hanging.id],
      );
      expect(attempts).toEqual({ n: 0 });
    } finally {
      await shared.close();
      await dispatcher.drain();
    }
  });
});

describe('receivers that let all others wait', () => {
  it.each(['oldest', 'receiver'] as const)(
    'should not hold up another tenant at the same host and port, in a claim by %s',
    async (by) => {
      const shared = 'https://shared.example.com';
      const [tenantId, other] = [(await stage.team()).id, (await stage.team()).id];
      await stage.sql('truncate webhook_queues');
      const insert = `insert into webhook_queues (id, tenant_id, origin, due_at)
        select gen_random_uuid(), $1, $2, now() - $3::interval from generate_series(1, $4::int)`;
      await stage.sql(insert, [tenantId, shared, '1 hour', 500]);
      await stage.sql(insert, [other, shared, '1 minute', 70]);
      let clock = 0;
      const gate = new ReceiverGate(() => clock);
      const hanging = [gate.enter(tenantId, shared), gate.enter(tenantId, shared)];
      gate.leave(gate.enter(other, shared), true);
      clock += 15_000;
      const store = stage.gateway.app.get(DeliveryClaimsStore, { strict: false });
      const claim = () =>
        by === 'oldest'
          ? store.claimOldestAnyTenant(new Lease(60_000), gate.places())
          : store.claimByReceiverAnyTenant(new Lease(60_000), gate.places(), BEGINNING);
      // Not all of the connections to the origin.
      const { empty } = await claim();
      expect(new Set(empty.map((queue) => queue.tenantId))).toEqual(new Set([other]));
      expect(empty).toHaveLength(PLACES.proven.each);
      expect(PLACES.proven.each).toBeLessThan(CONNECTIONS_AN_ORIGIN - hanging.length);
      const visits = empty.map(() => gate.enter(other, shared));
      expect((await claim()).empty).toEqual([]);
      for (const visit of [...visits, ...hanging]) gate.leave(visit, true);
      const next = (await claim()).empty.map((queue) => queue.tenantId);
      expect(next.filter((id) => id === other)).toHaveLength(70 - empty.length);
      expect(next.filter((id) => id === tenantId)).toHaveLength(PLACES.penalised.each);
    },
  );

  it.each(['oldest', 'receiver'])('should get a part of the places only, in a claim by %s', async (by) => {
    await stage.sql('truncate webhook_queues');
    const [tenantId, other] = [(await stage.team()).id, (await stage.team()).id];
    const insert = `
      insert into webhook_queues (id, tenant_id, origin, due_at)
      select gen_random_uuid(), $1, 'https://' || $2 || n || '.example.com', now() - interval '1 minute'
        from generate_series(1, $3::int) as n`;
    await stage.sql(insert, [tenantId, 'a', 100]);
    const gate = new ReceiverGate(() => 0);
    const store = stage.gateway.app.get(DeliveryClaimsStore, { strict: false });
    const claim = async () => {
      const { empty } =
        by === 'oldest'
          ? await store.claimOldestAnyTenant(new Lease(60_000), gate.places())
          : await store.claimByReceiverAnyTenant(new Lease(60_000), gate.places(), BEGINNING);
      for (const queue of empty) gate.enter(queue.tenantId, queue.origin);
      return empty.map((queue) => queue.tenantId);
    };
    expect(await claim()).toHaveLength(PLACES.new.tenant);
    expect(await claim()).toEqual([]);
    await stage.sql(insert, [other, 'z', 3]);
    expect(await claim()).toEqual([other, other, other]);
  });

  it('should not get every place that becomes free because of their names', async () => {
    await stage.sql('truncate webhook_queues');
    const [tenantId, other] = [(await stage.team()).id, (await stage.team()).id];
    const insert = `
      insert into webhook_queues (id, tenant_id, origin, due_at)
      select gen_random_uuid(), $1, 'https://' || $2 || n || '.example.com', now() - interval '1 minute'
        from generate_series(1, $3::int) as n, generate_series(1, $4::int)`;
    // As many as one walk covers; what comes behind is of somebody else.
    await stage.sql(insert, [tenantId, 'a', 200, 10]);
    await stage.sql(insert, [other, 'z', 1, 100]);
    const search = new DueSearch(stage.gateway.app.get(DeliveryClaimsStore, { strict: false }));
    const places = (free: number): Places => ({
      origins: {},
      lanes: { proven: 0, new: free, penalised: 0 },
      tenants: {},
      newFree: 2,
    });
    const got: string[] = [];
    for (let freed = 0; freed < 20; freed += 1) {
      const { empty } = await search.claim(new Lease(60_000), places(1));
      got.push(...empty.map((queue) => queue.tenantId));
      while ((await search.claim(new Lease(60_000), places(0))).more);
    }
    expect(got).toHaveLength(20);
    // Now and then the oldest of all goes first.
    expect(got.filter((id) => id === other).length).toBeGreaterThanOrEqual(5);
  });
});

describe('webhooks that do not get their turn', () => {
  it('should show in the metrics, and those that wait for a retry should not', async () => {
    const { id } = await stage.team();
    const sweeper = stage.gateway.app.get(WebhooksSweeper, { strict: false });
    const seen = async () => {
      await sweeper.tick();
      return stage.metric('gateway_webhooks_longest_due_seconds');
    };
    await stage.sql('truncate webhook_queues');
    await stage.sql(
      `insert into webhook_queues (id, tenant_id, origin, due_at)
       select gen_random_uuid(), $1, 'https://waits.example.com', now() + i from unnest($2::interval[]) as i`,
      [id, ['1 hour', '-1 hour', '-2 hours']],
    );
    expect(Math.floor((await seen()) / 3_600)).toBe(2);
    await stage.sql('delete from webhook_queues where due_at < now()');
    expect(await seen()).toBe(0);
  });
});
