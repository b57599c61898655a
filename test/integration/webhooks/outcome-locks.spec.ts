import { beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { PrismaService } from '../../../src/common/prisma/prisma.service.js';
import type { ClaimedDelivery } from '../../../src/modules/webhooks/delivery-claims.store.js';
import { DeliveryOutcomesStore } from '../../../src/modules/webhooks/delivery-outcomes.store.js';
import { eventually } from '../../support/gateway.js';
import { useStage } from '../../support/stage.js';
import { INSERT_LATER, insertUnderWay, RECORD } from './under-way.js';

/** Nobody else claims or sends. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

let tenantId: string;
const leaseToken = randomUUID();

beforeAll(async () => {
  tenantId = (await stage.team()).id;
});

function claimed(eventType?: string): Promise<ClaimedDelivery> {
  return insertUnderWay(stage, tenantId, leaseToken, eventType);
}

async function countWaiting(): Promise<number> {
  const waiting = await stage.sql(
    `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return waiting.length;
}

describe('the outcome of a webhook whose queue gets another one', () => {
  it.each([
    { status: 'delivered', left: { failures: 0, due: true } },
    { status: 'failing', left: { failures: 1, due: false } },
  ] as const)('should be written when it had to wait for the lock: $status', async ({ status, left }) => {
    const store = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const deliveries = [await claimed(), await claimed(), await claimed()];
    const locked = deliveries[1]!;
    const other = await stage.pool.connect();
    try {
      await other.query('begin');
      await other.query('update webhook_queues set version = version + 1 where id = $1', [locked.queueId]);
      const failing = status === 'failing';
      const outcome = { leaseToken, status, retryInMs: failing ? 60_000 : null, error: failing ? 'no' : null };
      const marking = Promise.all(deliveries.map((delivery) => store.mark({ ...outcome, attempt: null, delivery })));
      await eventually(countWaiting, Boolean);
      await other.query('commit');
      expect((await marking).map(({ written }) => written)).toEqual([true, true, true]);
    } finally {
      other.release();
    }
    const rows = await stage.sql('select status, attempts from webhook_deliveries where id = any($1)', [
      deliveries.map(({ id }) => id),
    ]);
    expect(rows).toEqual(deliveries.map(() => ({ status, attempts: 1 })));
    const queues = await stage.sql(
      `select lease_token is null as free, failures, due_at <= now() as due, version from webhook_queues where id = $1`,
      [locked.queueId],
    );
    expect(queues).toEqual([{ free: true, ...left, version: 2 }]);
  });

  it('should be that it is superseded when the one that it waited for ends the job', async () => {
    const store = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const delivery = await claimed();
    await stage.sql('update webhook_deliveries set attempts = 4 where id = $1', [delivery.id]);
    const other = await stage.pool.connect();
    try {
      await other.query('begin');
      await other.query('update webhook_queues set version = version + 1 where id = $1', [delivery.queueId]);
      await other.query(INSERT_LATER, [delivery.id, 3, 'job.finished']);
      const outcome = { leaseToken, status: 'failing', retryInMs: 60_000, error: 'no', attempt: RECORD } as const;
      const marking = store.mark({ ...outcome, delivery });
      await eventually(countWaiting, Boolean);
      await other.query('commit');
      expect(await marking).toMatchObject({ written: true, more: true });
    } finally {
      other.release();
    }
    const rows = await stage.sql(
      `select event_type, status, attempts, (select count(*)::int from webhook_attempts a where a.delivery_id = d.id) as log
         from webhook_deliveries d where queue_id = $1 order by sequence`,
      [delivery.queueId],
    );
    expect(rows).toEqual([
      { event_type: 'job.queued', status: 'superseded', attempts: 5, log: 1 },
      { event_type: 'job.finished', status: 'pending', attempts: 0, log: 0 },
    ]);
  });
});

describe('progress that fails when newer progress is there', () => {
  it.each([
    { type: 'job.progress', left: { more: false, failures: 1 } },
    { type: 'job.finished', left: { more: true, failures: 0 } },
  ])('should keep back nothing else that came while its outcome waited for the lock: $type', async ({ type, left }) => {
    const store = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const delivery = await claimed('job.progress');
    await stage.sql(INSERT_LATER, [delivery.id, 3, 'job.progress']);
    const other = await stage.pool.connect();
    try {
      await other.query('begin');
      await other.query('update webhook_queues set version = version + 1 where id = $1', [delivery.queueId]);
      await other.query(INSERT_LATER, [delivery.id, 4, type]);
      const outcome = { leaseToken, status: 'failing', retryInMs: 60_000, error: 'no', attempt: RECORD } as const;
      const marking = store.mark({ ...outcome, delivery });
      await eventually(countWaiting, Boolean);
      await other.query('commit');
      expect(await marking).toMatchObject({ written: true, more: left.more });
    } finally {
      other.release();
    }
    const rows = await stage.sql(
      `select d.status, q.failures, q.due_at <= now() as due, q.lease_token from webhook_queues q, webhook_deliveries d
        where q.id = $1 and d.id = $2`,
      [delivery.queueId, delivery.id],
    );
    expect(rows).toEqual([{ status: 'superseded', failures: left.failures, due: left.more, lease_token: null }]);
  });
});

describe('progress that fails when newer progress was got through by a person', () => {
  it('should leave nothing that waits', async () => {
    const store = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const delivery = await claimed('job.progress');
    await stage.sql('update webhook_queues set version = version + 1 where id = $1', [delivery.queueId]);
    await stage.sql(INSERT_LATER, [delivery.id, 3, 'job.progress']);
    await stage.sql(`update webhook_deliveries set status = 'delivered' where queue_id = $1 and sequence = 3`, [
      delivery.queueId,
    ]);
    const outcome = { leaseToken, status: 'failing', retryInMs: 60_000, error: 'no', attempt: RECORD } as const;
    expect(await store.mark({ ...outcome, delivery })).toMatchObject({ written: true, more: true });
  });
});

describe('an endpoint whose row somebody holds', () => {
  it('should not hold up what is noted of its webhooks and of others (invariant 16)', async () => {
    const store = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const endpointId = randomUUID();
    await stage.sql(
      `insert into webhook_endpoints (id, tenant_id, url, origin) values ($1, $2, 'https://a.example.com/', 'https://a.example.com')`,
      [endpointId, tenantId],
    );
    const other = await stage.pool.connect();
    try {
      await other.query('begin');
      await other.query('select 1 from webhook_endpoints where id = $1 for update', [endpointId]);
      const outcome = { leaseToken, status: 'failing', retryInMs: 60_000, error: 'no', attempt: null } as const;
      const deliveries = [{ ...(await claimed()), endpointId, endpointRevision: 0 }, await claimed()];
      const marked = await Promise.all(deliveries.map((delivery) => store.mark({ ...outcome, delivery })));
      expect(marked.map(({ written }) => written)).toEqual([true, true]);
      await other.query('commit');
      const again = { ...(await claimed()), endpointId, endpointRevision: 0 };
      expect(await store.mark({ ...outcome, delivery: again })).toMatchObject({ written: true });
    } finally {
      other.release();
    }
    const failing = await stage.sql('select 1 from webhook_endpoints where id = $1 and failing_since is not null', [
      endpointId,
    ]);
    expect(failing).toHaveLength(1);
  });
});

describe('a webhook that a person gets through while its scheduled attempt fails', () => {
  it.each([
    ['the scheduled one', 0],
    ['the manual one', 1],
  ])('should let the next one go, whichever is written first: %s', async (_, first) => {
    const scheduled = await claimed();
    await stage.sql(INSERT_LATER, [scheduled.id, 3, 'job.finished']);
    const [manual] = await stage.sql<{ queueId: string }>(
      `insert into webhook_queues (id, tenant_id, delivery_id, origin, due_at, lease_token)
       values (gen_random_uuid(), $1, $2, 'https://a.example.com', now() + interval '1 minute', $3) returning id as "queueId"`,
      [tenantId, scheduled.id, leaseToken],
    );
    // Of two replicas: one would write both with one statement, or one after the other.
    const prisma = stage.gateway.app.get(PrismaService, { strict: false });
    const write = [
      () =>
        new DeliveryOutcomesStore(prisma).mark({
          ...{ leaseToken, status: 'failing', retryInMs: 3_600_000, error: 'no', attempt: null },
          delivery: scheduled,
        }),
      () =>
        new DeliveryOutcomesStore(prisma).mark({
          ...{ leaseToken, status: 'delivered', retryInMs: null, error: null, attempt: null },
          delivery: { ...scheduled, queueId: manual!.queueId, manual: true },
        }),
    ];
    const other = await stage.pool.connect();
    const writing: Promise<unknown>[] = [];
    try {
      await other.query('begin');
      await other.query('select 1 from webhook_queues where id = $1 for update', [scheduled.queueId]);
      for (const index of [first, 1 - first]) {
        writing.push(write[index]!());
        await eventually(countWaiting, (count) => count === writing.length);
      }
      await other.query('commit');
      await Promise.all(writing);
    } finally {
      other.release();
    }
    const rows = await stage.sql('select status from webhook_deliveries where queue_id = $1 order by sequence', [
      scheduled.queueId,
    ]);
    expect(rows).toEqual([{ status: 'delivered' }, { status: 'pending' }]);
    const queues = await stage.sql(
      'select due_at <= now() as due, failures, due_at_end, lease_token from webhook_queues where id = $1',
      [scheduled.queueId],
    );
    expect(queues).toEqual([{ due: true, failures: 0, due_at_end: null, lease_token: null }]);
  });
});
