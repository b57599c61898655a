import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Lease } from '../../../src/common/loops/lease.js';
import type { PrismaService } from '../../../src/common/prisma/prisma.service.js';
import { DeliveriesStore } from '../../../src/modules/webhooks/deliveries.store.js';
import {
  BEGINNING,
  DeliveryClaimsStore,
  type ClaimedDelivery,
  type ClaimedQueue,
} from '../../../src/modules/webhooks/delivery-claims.store.js';
import { DeliveryOutcomesStore } from '../../../src/modules/webhooks/delivery-outcomes.store.js';
import { DeliveryQueuesStore } from '../../../src/modules/webhooks/delivery-queues.store.js';
import { DueSearch } from '../../../src/modules/webhooks/due-search.js';
import { ManualRetriesStore } from '../../../src/modules/webhooks/manual-retries.store.js';
import { PLACES, ReceiverGate, type Places } from '../../../src/modules/webhooks/receiver-gate.js';
import {
  buffersOf,
  explain,
  keepPlans,
  scansOf,
  statementOf,
  tempBlocksOf,
  withoutAutovacuum,
  type PlanNode,
  type Statement,
} from '../../support/plans.js';
import { useStage } from '../../support/stage.js';
import { fill, fillEndpoint, fillQueues, WAITING } from './queue-rows.js';

/** Nothing runs but what the tests explain. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

const HISTORY = 100_000;
/** Receivers that failed, of which nothing is due before an hour has passed. */
const RETRYING = 2_000;
/** Buffers that a statement on twenty webhooks may touch: an absolute bound, however much else there is. */
const MOST_BUFFERS = 2_000;

let tenantId: string;

/** An endpoint that was changed, and where it was. */
const CHANGED = { id: randomUUID(), origin: 'https://mended.example.com' };
/** An endpoint that has taken much since it did not take a few, and one that took nothing. */
const [MENDED, DOWN] = [randomUUID(), randomUUID()];
const EVERYTHING = { jobId: undefined, endpointId: undefined, status: undefined };
const RANGE = { since: new Date(0), until: new Date('2100-01-01'), endpointId: null, status: 'failing' as const };

/** What is due, under way for a lease; none before it is there. */
let underWay: ClaimedQueue[] = [];
const lease = new Lease(600_000);

const STATEMENTS: Statement[] = [
  [
    'a claim of the oldest',
    (prisma) => new DeliveryClaimsStore(prisma).claimOldestAnyTenant(lease, gateWithoutDead().places()),
  ],
  [
    'a claim by receiver',
    (prisma) => new DeliveryClaimsStore(prisma).claimByReceiverAnyTenant(lease, gateWithoutDead().places(), BEGINNING),
  ],
  [
    'a claim of quick receivers',
    (prisma) =>
      new DeliveryClaimsStore(prisma).claimOfReceiversAnyTenant(
        lease,
        gateWithoutDead().places(),
        ['https://alive.example.com', 'https://nothing.example.com'].map((origin) => ({ origin, tenantId })),
      ),
  ],
  ['outcomes', (prisma) => markDelivered(prisma)],
  ['claims that are put back', (prisma) => new DeliveryQueuesStore(prisma).release(claimedIds(), lease.token)],
  ['claims that are held', (prisma) => new DeliveryQueuesStore(prisma).hold(claimedIds(), lease.token)],
  ['queues that were empty', (prisma) => new DeliveryQueuesStore(prisma).discard(underWay, lease.token)],
  [
    'what waits at an endpoint that was changed',
    (prisma) => new DeliveryQueuesStore(prisma).hurry(tenantId, CHANGED.id, CHANGED.origin),
  ],
  ['what is held for endpoints', (prisma) => new DeliveryQueuesStore(prisma).releaseHeldAnyTenant(1_000)],
  ['manual retries that wait', (prisma) => new ManualRetriesStore(prisma).findWaiting(tenantId)],
  ['a batch to be sent again', (prisma) => new ManualRetriesStore(prisma).findRange(tenantId, RANGE, undefined, 100)],
  ['a page of the list', (prisma) => new DeliveriesStore(prisma).findPage(tenantId, EVERYTHING, 100, undefined)],
  [
    'a page of what has failed',
    (prisma) => new DeliveriesStore(prisma).findPage(tenantId, { ...EVERYTHING, status: 'failing' }, 100, undefined),
  ],
  [
    'a page of a job',
    (prisma) => new DeliveriesStore(prisma).findPage(tenantId, { ...EVERYTHING, jobId: randomUUID() }, 100, undefined),
  ],
  [
    'a page of an endpoint',
    (prisma) =>
      new DeliveriesStore(prisma).findPage(tenantId, { ...EVERYTHING, endpointId: CHANGED.id }, 100, undefined),
  ],
  [
    'a page of what an endpoint did not take',
    (prisma) =>
      new DeliveriesStore(prisma).findPage(tenantId, { endpointId: MENDED, status: 'exhausted' }, 100, undefined),
  ],
  [
    'a batch of what an endpoint did not take, to be sent again',
    (prisma) =>
      new ManualRetriesStore(prisma).findRange(
        tenantId,
        { ...RANGE, endpointId: MENDED, status: 'exhausted' },
        undefined,
        100,
      ),
  ],
];

/** Each statement with its plans, by when they were made. */
const plans: Record<'when there was nothing' | 'before anything waited' | 'now', Map<string, PlanNode>> = {
  'when there was nothing': new Map(),
  'before anything waited': new Map(),
  now: new Map(),
};

function claimedIds(): string[] {
  return underWay.map(({ queueId }) => queueId);
}

/** Writes that what is under way was delivered. */
async function markDelivered(prisma: PrismaService): Promise<void> {
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
  const result = { leaseToken: lease.token, status: 'delivered' as const, retryInMs: null, error: null, attempt };
  const store = new DeliveryOutcomesStore(prisma);
  const none = { queueId: randomUUID() };
  // A delivery has the id of its queue here.
  const claimed = (underWay.length > 0 ? underWay : [none]).map(
    (queue) =>
      ({
        ...{ manual: false, hurried: false, endpointId: null, endpointRevision: null, version: 1 },
        id: queue.queueId,
        ...queue,
      }) as ClaimedDelivery,
  );
  await Promise.all(claimed.map((delivery) => store.mark({ ...result, delivery })));
}

beforeAll(async () => {
  tenantId = (await stage.team()).id;
  await withoutAutovacuum(stage.pool);
  const plannedFirst = await keepPlans(stage.pool, STATEMENTS);
  await fill(stage, tenantId, HISTORY, 'delivered', 'https://history.example.com');
  await fillEndpoint(
    stage,
    tenantId,
    MENDED,
    { status: 'delivered', count: WAITING, agoSeconds: 0 },
    { status: 'exhausted', count: 50, agoSeconds: WAITING },
  );
  await fillEndpoint(stage, tenantId, DOWN, { status: 'exhausted', count: WAITING, agoSeconds: 0 });
  underWay = await fillQueues(stage, tenantId, lease, CHANGED);
  plans['when there was nothing'] = await plannedFirst();
  await stage.sql('analyze');
  await stage.sql('truncate webhook_queues');
  await stage.sql(`delete from jobs where id in (select job_id from webhook_deliveries where status <> 'delivered')`);
  underWay = [];
  await stage.sql('vacuum (analyze)');
  const plannedBefore = await keepPlans(stage.pool, STATEMENTS);
  underWay = await fillQueues(stage, tenantId, lease, CHANGED);
  plans['before anything waited'] = await plannedBefore();
  await stage.sql('analyze');
  plans.now = await (await keepPlans(stage.pool, STATEMENTS))();
  await stage.sql('update webhook_queues set lease_token = null, due_at = now() where lease_token is not null');
}, 240_000);

/** A gate that has no place left for the dead receiver. */
function gateWithoutDead(): ReceiverGate {
  let clock = 0;
  const gate = new ReceiverGate(() => clock);
  for (let visits = 0; visits < 2; visits += 1) gate.enter(tenantId, 'https://dead.example.com');
  clock += 15_000;
  expect(gate.places().origins['https://dead.example.com']?.tenants).toEqual({
    [tenantId]: { lane: 'penalised', free: 0 },
  });
  return gate;
}

describe.each(['when there was nothing', 'before anything waited', 'now'] as const)(
  'with a plan that was made %s',
  (when) => {
    it.each(STATEMENTS.map(([name]) => name))(
      'should cost what it is about, whatever else there is (invariant 13): %s',
      (name) => {
        const plan = plans[when].get(name)!;
        expect(scansOf(plan)).toEqual([]);
        expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
      },
    );
  },
);

describe('a claim of webhooks', () => {
  it('should not pay for receivers whose webhooks wait for a retry', async () => {
    const buffers = async (run: (claims: DeliveryClaimsStore, places: Places) => Promise<unknown>) => {
      const statement = await statementOf((prisma) => run(new DeliveryClaimsStore(prisma), gateWithoutDead().places()));
      return buffersOf(await explain(stage.pool, statement));
    };
    const oldest = () => buffers((claims, places) => claims.claimOldestAnyTenant(new Lease(10_000), places));
    const byReceiver = () =>
      buffers((claims, places) => claims.claimByReceiverAnyTenant(new Lease(10_000), places, BEGINNING));
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
      for (const { origin } of claimed.deliveries) gate.enter(tenantId, origin);
      found.push(...claimed.deliveries.map(({ origin }) => origin));
      more = claimed.more;
      // Two thousand receivers, two hundred a walk: three times around at most.
      expect(claims).toBeLessThan(34);
    }
    expect(new Set(found)).toEqual(new Set(['https://alive.example.com']));
    expect(found).toHaveLength(PLACES.new.each);
    expect(await search.claim(lease, gate.places())).toMatchObject({ deliveries: [] });
  });

  it('should not carry what the gate knows of all receivers through its sorts', async () => {
    const gate = gateWithoutDead();
    const origins = Array.from({ length: 1_000 }, (_, n) => `https://known-${n}.example.com`);
    for (const origin of origins) gate.leave(gate.enter(tenantId, origin), true);
    await stage.sql(
      `insert into webhook_queues (id, tenant_id, origin, due_at)
       select gen_random_uuid(), $1, o, now() - interval '1 hour' from unnest($2::text[]) as o, generate_series(1, 4)`,
      [tenantId, origins],
    );
    const claims = (prisma: PrismaService) => new DeliveryClaimsStore(prisma);
    const statements = [
      await statementOf((prisma) => claims(prisma).claimOldestAnyTenant(lease, gate.places())),
      await statementOf((prisma) => claims(prisma).claimByReceiverAnyTenant(lease, gate.places(), BEGINNING)),
    ];
    for (const statement of statements) expect(tempBlocksOf(await explain(stage.pool, statement))).toBe(0);
    await stage.sql(`delete from webhook_queues where origin like 'https://known-%'`);
  });

  it('should ask for what is new at a quick receiver in turns with the ring', async () => {
    const last = 'https://zz.example.com';
    const gate = gateWithoutDead();
    gate.leave(gate.enter(tenantId, last), true);
    const search = new DueSearch(stage.gateway.app.get(DeliveryClaimsStore, { strict: false }));
    const claim = async () => (await search.claim(new Lease(60_000), gate.places())).deliveries.map((d) => d.origin);
    const add = async () => {
      await fill(stage, tenantId, 1, 'pending', last);
      search.beginAnew();
    };
    // The ring has begun, and more is due than a claim of the oldest reads.
    await claim();
    await add();
    expect(await claim()).toEqual([last]);
    await add();
    expect(await claim()).toEqual([]);
    expect(await claim()).toEqual([last]);
  });
});
