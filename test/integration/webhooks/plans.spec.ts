import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Lease } from '../../../src/common/loops/lease.js';
import { DeliveryClaimsStore, type ClaimedDelivery } from '../../../src/modules/webhooks/delivery-claims.store.js';
import { DeliveryOutcomesStore } from '../../../src/modules/webhooks/delivery-outcomes.store.js';
import { DeliveryQueuesStore } from '../../../src/modules/webhooks/delivery-queues.store.js';
import { DueSearch } from '../../../src/modules/webhooks/due-search.js';
import { PLACES, ReceiverGate, type Places } from '../../../src/modules/webhooks/receiver-gate.js';
import {
  buffersOf,
  explain,
  prepare,
  scansOf,
  statementOf,
  type PlanNode,
  type Prepared,
} from '../../support/plans.js';
import { useStage } from '../../support/stage.js';

/** Nothing runs but what the tests explain. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

const HISTORY = 100_000;
/** Queues of a receiver that takes nothing now. */
const WAITING = 20_000;
const DUE = 20;
/** Receivers that failed, of which nothing is due before an hour has passed. */
const RETRYING = 2_000;
/** Buffers that a statement on twenty webhooks may touch: an absolute bound, however much else there is. */
const MOST_BUFFERS = 2_000;

let tenantId: string;

const CLAIMS: [string, (claims: DeliveryClaimsStore, places: Places) => Promise<unknown>][] = [
  ['of the oldest', (claims, places) => claims.claimOldestAnyTenant(new Lease(10_000), places)],
  ['by receiver', (claims, places) => claims.claimByOriginAnyTenant(new Lease(10_000), places, '')],
];
/** Planned when there was nothing, as sessions mostly do. */
const kept = new Map<string, Prepared>();

const OUTCOMES = 'outcomes';
/** An endpoint that was changed, and the plan of hurrying what waits at it, as it was when nothing did. */
const CHANGED = randomUUID();
let earlyHurry: PlanNode;

/** The statement that makes due what waits at an endpoint. */
function hurryOf(endpointId: string): ReturnType<typeof statementOf> {
  return statementOf((prisma) =>
    new DeliveryQueuesStore(prisma).hurry(tenantId, endpointId, 'https://mended.example.com'),
  );
}

/** The statement that writes the outcomes of webhooks that were delivered. */
function outcomesOf(rows: { id: string; queue_id: string }[], leaseToken: string): ReturnType<typeof statementOf> {
  const attempt = {
    started_at: new Date(),
    url: 'https://alive.example.com/',
    request_headers: {},
    response_status: 204,
    error_class: null,
    error: null,
    dns_ms: null,
    connect_ms: 1,
    tls_ms: null,
    first_byte_ms: 1,
    total_ms: 2,
    response_excerpt: '',
  };
  const result = { leaseToken, status: 'delivered' as const, retryInMs: null, error: null, attempt };
  return statementOf(async (prisma) => {
    const store = new DeliveryOutcomesStore(prisma);
    const claimed = { version: 1, manual: false, endpointId: null };
    await Promise.all(
      rows.map(({ id, queue_id: queueId }) =>
        store.mark({ ...result, delivery: { id, queueId, ...claimed } as ClaimedDelivery }),
      ),
    );
  });
}

/** Rows as changes of jobs leave them. */
async function fill(count: number, status: string, origin: string): Promise<void> {
  const open = status !== 'delivered';
  await stage.sql(
    `with job as (
       insert into jobs (id, tenant_id, account_id, kind, status, input, finished_at)
       select gen_random_uuid(), t.id, t.account_id, 'video', 'finished', '{}', now()
         from tenants t, generate_series(1, $2::int) where t.id = $1
       returning id, tenant_id
     ), queue as (
       insert into webhook_queues (id, tenant_id, origin, due_at)
       select j.id, j.tenant_id, $4, now() - interval '1 minute' from job j where $5
     )
     insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status)
     select gen_random_uuid(), j.tenant_id, j.id, j.id, 2, 'job.finished', $4 || '/', repeat('x', 700), $3 from job j`,
    [tenantId, count, status, origin, open],
  );
}

beforeAll(async () => {
  tenantId = (await stage.team()).id;
  for (const table of ['jobs', 'webhook_queues', 'webhook_deliveries']) await stage.sql(`vacuum (analyze) ${table}`);
  for (const [name, run] of CLAIMS) {
    const statement = await statementOf((prisma) => run(new DeliveryClaimsStore(prisma), gateWithoutDead().places()));
    const prepared = await prepare(stage.pool, statement);
    await prepared.explain();
    kept.set(name, prepared);
  }
  const none = { id: randomUUID(), queue_id: randomUUID() };
  const outcomes = await prepare(stage.pool, await outcomesOf([none], randomUUID()));
  await outcomes.explain();
  kept.set(OUTCOMES, outcomes);
  const hurry = await prepare(stage.pool, await hurryOf(CHANGED));
  await hurry.explain();
  await fill(HISTORY, 'delivered', 'https://history.example.com');
  await fill(WAITING, 'failing', 'https://dead.example.com');
  await fill(DUE, 'pending', 'https://alive.example.com');
  const waiting = `insert into webhook_queues (id, tenant_id, endpoint_id, origin, due_at)
    select gen_random_uuid(), $1, $2, $3, now() + interval '1 hour' from generate_series(1, $4::int)`;
  await stage.sql(waiting, [tenantId, randomUUID(), 'https://elsewhere.example.com', WAITING]);
  await stage.sql(waiting, [tenantId, CHANGED, 'https://mended.example.com', DUE]);
  // Before the first ANALYZE, upon which every session plans anew.
  earlyHurry = await hurry.explain();
  hurry.close();
  await stage.sql('analyze');
}, 120_000);

/** A gate that has no place left for the dead receiver. */
function gateWithoutDead(): ReceiverGate {
  let clock = 0;
  const gate = new ReceiverGate(() => clock);
  for (let visits = 0; visits < 2; visits += 1) gate.enter('https://dead.example.com');
  clock += 15_000;
  expect(gate.places().origins).toEqual({ 'https://dead.example.com': { pool: 'penalised', free: 0 } });
  return gate;
}

describe('a claim of webhooks', () => {
  it.each(CLAIMS)('should read no more with a plan from a time when there was nothing: %s', async (name) => {
    const plan = await kept.get(name)?.explain();
    kept.get(name)?.close();
    expect(plan && buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
  });

  it.each(CLAIMS)(
    'should read what is due and what there are places for, whatever else there is (invariant 13): %s',
    async (_, run) => {
      const statement = await statementOf((prisma) => run(new DeliveryClaimsStore(prisma), gateWithoutDead().places()));
      const plan = await explain(stage.pool, statement);
      expect(scansOf(plan)).toEqual([]);
      expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
    },
  );

  it('should not pay for receivers whose webhooks wait for a retry', async () => {
    const buffers = async (run: (claims: DeliveryClaimsStore, places: Places) => Promise<unknown>) => {
      const statement = await statementOf((prisma) => run(new DeliveryClaimsStore(prisma), gateWithoutDead().places()));
      return buffersOf(await explain(stage.pool, statement));
    };
    const oldest = () => buffers((claims, places) => claims.claimOldestAnyTenant(new Lease(10_000), places));
    const byReceiver = () => buffers((claims, places) => claims.claimByOriginAnyTenant(new Lease(10_000), places, ''));
    const before = await oldest();
    await stage.sql(
      `insert into webhook_queues (id, tenant_id, origin, due_at)
       select gen_random_uuid(), $1, 'https://waits-' || n || '.example.com', now() + interval '1 hour'
         from generate_series(1, $2::int) as n`,
      [tenantId, RETRYING],
    );
    // A level more in an index is read now and then.
    expect(await oldest()).toBeLessThan(before + 100);
    // Receiver by receiver it costs a few pages each, of two hundred at most.
    expect(await byReceiver()).toBeLessThan(MOST_BUFFERS);
    await stage.sql('analyze webhook_queues');
    expect(await oldest()).toBeLessThan(before + 100);
    expect(await byReceiver()).toBeLessThan(MOST_BUFFERS);
  });

  it('should find a receiver that takes webhooks behind one that takes nothing, and end its search', async () => {
    const search = new DueSearch(stage.gateway.app.get(DeliveryClaimsStore, { strict: false }));
    const gate = gateWithoutDead();
    const lease = new Lease(60_000);
    const found: string[] = [];
    let claims = 0;
    for (let more = true; more; claims += 1) {
      const claimed = await search.claim(lease, gate.places());
      for (const { origin } of claimed.deliveries) gate.enter(origin);
      found.push(...claimed.deliveries.map(({ origin }) => origin));
      more = claimed.more;
      // Two thousand receivers, two hundred a walk: three times around at most.
      expect(claims).toBeLessThan(34);
    }
    expect(new Set(found)).toEqual(new Set(['https://alive.example.com']));
    expect(found).toHaveLength(PLACES.new.anOrigin);
    expect(await search.claim(lease, gate.places())).toMatchObject({ deliveries: [] });
  });
});

describe('the outcome of webhooks', () => {
  it('should be written without reading what else there is (invariant 13), with a plan of any time', async () => {
    const rows = await stage.sql<{ id: string; queue_id: string }>(
      `select d.id, d.queue_id from webhook_deliveries d where d.status = 'pending'`,
    );
    expect(rows).toHaveLength(DUE);
    const leaseToken = new Lease(10_000).token;
    const held = await stage.sql('update webhook_queues set lease_token = $1 where id = any($2) returning id', [
      leaseToken,
      rows.map((row) => row.queue_id),
    ]);
    expect(held).toHaveLength(DUE);
    const statement = await outcomesOf(rows, leaseToken);
    const before = kept.get(OUTCOMES)!;
    for (const plan of [await explain(stage.pool, statement), await before.explain(statement.values)]) {
      expect(scansOf(plan)).toEqual([]);
      expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
    }
    before.close();
  });
});

describe('what waits at an endpoint that was changed', () => {
  it('should be made due without reading what waits elsewhere (invariant 13), with a plan of any time', async () => {
    for (const plan of [earlyHurry, await explain(stage.pool, await hurryOf(CHANGED))]) {
      expect(scansOf(plan)).toEqual([]);
      expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
    }
    await stage.gateway.app
      .get(DeliveryQueuesStore, { strict: false })
      .hurry(tenantId, CHANGED, 'https://mended.example.com');
    const due = await stage.sql('select 1 from webhook_queues where endpoint_id = $1 and due_at <= now()', [CHANGED]);
    expect(due).toHaveLength(DUE);
  });
});

describe('receivers that let all others wait', () => {
  it('should not get every place that becomes free because of their names', async () => {
    await stage.sql('truncate webhook_queues');
    const other = (await stage.team()).id;
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
      pools: { proven: 0, new: free, penalised: 0 },
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
