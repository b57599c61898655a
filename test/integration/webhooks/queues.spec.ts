import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import request from 'supertest';
import { Lease } from '../../../src/common/loops/lease.js';
import { DeliveryOutcomesStore } from '../../../src/modules/webhooks/delivery-outcomes.store.js';
import { DeliveryClaimsStore, type ClaimedDelivery } from '../../../src/modules/webhooks/delivery-claims.store.js';
import { DeliveryQueuesStore } from '../../../src/modules/webhooks/delivery-queues.store.js';
import { ManualRetriesStore } from '../../../src/modules/webhooks/manual-retries.store.js';
import { ReceiverGate } from '../../../src/modules/webhooks/receiver-gate.js';
import { eventually, startGateway } from '../../support/gateway.js';
import { untilBlocked } from '../../support/locks.js';
import { useStage } from '../../support/stage.js';
import { ByHand } from './by-hand.js';

/** No loop runs: the tests tick, and move the jobs at the simulator. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', CALLBACK_TIMEOUT_MS: '60000', CALLBACK_RETRY_SCHEDULE_MS: '1,1,1,1,1,1,1' },
  simulator: { queueMs: 3_600_000, durationMs: 3_600_000 },
});
const byHand = new ByHand(stage);

describe('two replicas that dispatch', () => {
  it('should send each webhook once (invariant 8)', async () => {
    const second = await startGateway(stage.databaseUrl, stage.simulator.url, { GATEWAY_ROLE: 'api' });
    try {
      const team = await stage.team();
      const jobs = await Promise.all(Array.from({ length: 40 }, () => byHand.video(team)));
      // A receiver that is new to a replica gets a few at a time.
      await eventually(
        async () => {
          await Promise.all([byHand.dispatch(), byHand.dispatch(second), byHand.dispatch(), byHand.dispatch(second)]);
          return jobs.filter(({ id }) => stage.receiver.types(id).length > 0).length;
        },
        (received) => received === jobs.length,
      );
      for (const { id } of jobs) expect(stage.receiver.types(id)).toEqual(['job.queued']);
      for (const { id } of jobs)
        expect((await stage.deliveries(id))[0]).toMatchObject({ status: 'delivered', attempts: 1 });
    } finally {
      await second.close();
    }
  });

  it('should take over the webhook of a replica that died, once its claim has expired', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    const claim = (expires: string) =>
      stage.sql(
        `update webhook_queues set lease_token = gen_random_uuid(), due_at = now() + $2::interval where id = $1`,
        [id, expires],
      );
    await claim('1 hour');
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual([]);
    await claim('-1 second');
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.queued']);
  });

  it('should not write the outcome of an attempt whose claim another has taken over', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    let open: ServerResponse | undefined;
    stage.receiver.answer((_, response) => void (open = response));
    await byHand.startAttempts();
    await eventually(
      () => open,
      (response) => response !== undefined,
    );
    await stage.sql('update webhook_queues set lease_token = gen_random_uuid() where id = $1', [id]);
    open?.writeHead(204).end();
    await byHand.untilAttempted();
    expect((await stage.deliveries(id))[0]).toMatchObject({ status: 'pending', attempts: 0 });
    expect(await stage.metric('gateway_lost_leases_total{loop="dispatcher"}')).toBe(1);
    await stage.sql('delete from webhook_queues where id = $1', [id]);
  });
});

describe('outcomes that come in together', () => {
  // What other tests have left is nothing to these.
  beforeEach(() => stage.sql('delete from webhook_queues'));
  const record = { error: null, attempt: null, retryInMs: 3_600_000 };

  /** Claims all that is due, for the test to settle. */
  async function claim(): Promise<{ lease: Lease; claimed: ClaimedDelivery[] }> {
    const lease = new Lease(60_000);
    await stage.sql('select pg_sleep(0.005)');
    const claims = stage.gateway.app.get(DeliveryClaimsStore, { strict: false });
    const { deliveries } = await claims.claimOldestAnyTenant(lease, new ReceiverGate().places());
    return { lease, claimed: deliveries };
  }

  it.each(['the manual attempt', 'the scheduled attempt'])('should be delivered when %s got through', async (which) => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    const [queued] = await stage.deliveries(id);
    await stage.gateway.app.get(ManualRetriesStore, { strict: false }).insert(team.id, {
      id: queued?.id ?? '',
      endpointId: null,
      url: stage.receiver.url,
    });
    const { lease, claimed } = await claim();
    expect(claimed.map(({ manual }) => manual).sort()).toEqual([false, true]);
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    const outcomes = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const marked = await Promise.all(
      claimed.map((delivery) =>
        outcomes.mark({
          ...record,
          delivery,
          leaseToken: lease.token,
          status: delivery.manual === (which === 'the manual attempt') ? 'delivered' : 'failing',
        }),
      ),
    );
    expect(marked.map(({ written }) => written)).toEqual([true, true]);
    expect(await stage.deliveries(id)).toMatchObject([
      { status: 'delivered', attempts: 1, last_error: null },
      { status: 'pending' },
    ]);
    // Whichever it was: the next one need not wait for the retry.
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.processing']);
    expect(await stage.sql('select 1 from webhook_queues')).toEqual([]);
  });

  it('should not be written by a claim of the same process that has expired', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    const first = await claim();
    await stage.sql(`update webhook_queues set due_at = now() - interval '1 second' where id = $1`, [id]);
    const second = await claim();
    const outcomes = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const mark = ({ lease, claimed }: typeof first, status: 'delivered' | 'failing') =>
      outcomes.mark({ ...record, delivery: claimed[0] as ClaimedDelivery, leaseToken: lease.token, status });
    const marked = await Promise.all([mark(first, 'failing'), mark(second, 'delivered')]);
    expect(marked.map(({ written }) => written)).toEqual([false, true]);
    expect(await stage.deliveries(id)).toMatchObject([{ status: 'delivered', attempts: 1 }]);
  });
});

describe('a queue', () => {
  const queues = () => stage.gateway.app.get(DeliveryQueuesStore, { strict: false });
  const claims = () => stage.gateway.app.get(DeliveryClaimsStore, { strict: false });
  const stateOf = (id: string) =>
    stage.sql<{ due: boolean }>('select due_at <= now() as due from webhook_queues where id = $1', [id]);

  /** Begins this while another session has added a webhook to the queue, and commits once it waits for that. */
  async function whileAdding(id: string, begin: () => Promise<unknown>, sequence = 2): Promise<void> {
    const session = await stage.pool.connect();
    try {
      await session.query('begin');
      await session.query('update webhook_queues set version = version + 1 where id = $1', [id]);
      await session.query(
        `update webhook_deliveries set status = 'pending', attempts = 0 where job_id = $1 and sequence = $2`,
        [id, sequence],
      );
      const begun = begin();
      // It is waited for below, whatever happens until then.
      begun.catch(() => undefined);
      await untilBlocked(stage);
      await session.query('commit');
      await begun;
    } finally {
      session.release();
    }
  }

  it('should stay when it gets a webhook at the moment at which it is found to be empty', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    await byHand.dispatch();
    // What is left by a manual retry that got the last one through.
    await stage.sql(
      `insert into webhook_queues (id, tenant_id, origin, due_at) values ($1, $2, $3, now() - interval '1 second')`,
      [id, team.id, stage.receiver.url],
    );
    const lease = new Lease(60_000);
    const { deliveries, empty } = await claims().claimOldestAnyTenant(lease, new ReceiverGate().places());
    expect([deliveries, empty.map(({ queueId }) => queueId)]).toEqual([[], [id]]);
    // The claim read the webhooks before this one was committed, and the queue's version after.
    await stage.sendAgain(id);
    await stage.sql(`update webhook_queues set lease_token = $2, due_at = now() + interval '1 minute' where id = $1`, [
      id,
      lease.token,
    ]);
    await queues().discard(empty, lease.token);
    expect(await stateOf(id)).toEqual([{ due: true }]);
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.queued', 'job.queued']);
    expect(await stateOf(id)).toEqual([]);
  });

  it('should stay when what it gets is committed while it is being removed', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    await byHand.dispatch();
    const lease = new Lease(60_000);
    await stage.sql(
      `insert into webhook_queues (id, tenant_id, origin, due_at, lease_token) values ($1, $2, $3, now() + interval '1 minute', $4)`,
      [id, team.id, stage.receiver.url, lease.token],
    );
    await whileAdding(id, () =>
      queues().discard(
        [
          {
            queueId: id,
            version: 1,
            tenantId: team.id,
            endpointId: null,
            origin: stage.receiver.url,
            receiver: 'takes',
            manual: false,
          },
        ],
        lease.token,
      ),
    );
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.queued', 'job.queued']);
  });

  it('should stay when what it gets is committed while its last one is being settled', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    await stage.sql(`delete from webhook_queues where id <> $1`, [id]);
    const lease = new Lease(60_000);
    await stage.sql('select pg_sleep(0.005)');
    const { deliveries } = await claims().claimOldestAnyTenant(lease, new ReceiverGate().places());
    const delivery = deliveries[0] as ClaimedDelivery;
    await stage.sql(
      `insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status)
       select gen_random_uuid(), tenant_id, job_id, queue_id, 9, 'job.finished', url, body, 'superseded'
         from webhook_deliveries where job_id = $1`,
      [id],
    );
    const outcomes = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    await whileAdding(
      id,
      () =>
        outcomes.mark({
          delivery,
          leaseToken: lease.token,
          status: 'delivered',
          retryInMs: null,
          error: null,
          attempt: null,
        }),
      9,
    );
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.queued']);
    expect((await byHand.states(id)).at(-1)).toBe('job.finished delivered');
  });

  it('should be let go in turn with those that are kept for others, however many those are', async () => {
    const standing = async () => {
      const team = await stage.team();
      const { body } = await request(stage.gateway.url)
        .post('/v1/webhook-endpoints')
        .set(team.auth)
        .send({ url: stage.receiver.url });
      return { tenantId: team.id, endpointId: (body as { id: string }).id };
    };
    const [many, few] = [await standing(), await standing()];
    const keep = ({ tenantId, endpointId }: typeof many, count: number) =>
      stage.sql(
        `insert into webhook_queues (id, tenant_id, endpoint_id, origin)
         select gen_random_uuid(), $1, $2, 'https://a.example.com' from generate_series(1, $3::int)`,
        [tenantId, endpointId, count],
      );
    await keep(many, 500);
    await keep(few, 3);
    expect(await queues().releaseHeldAnyTenant(100)).toBe(53);
    expect(
      await stage.sql('select 1 from webhook_queues where endpoint_id = $1 and due_at is null', [few.endpointId]),
    ).toEqual([]);
    expect(await queues().releaseHeldAnyTenant(100)).toBe(100);
    await stage.sql('delete from webhook_queues');
  });

  it('should be let go by one session only: another may have claimed it meanwhile', async () => {
    const team = await stage.team();
    const made = await request(stage.gateway.url)
      .post('/v1/webhook-endpoints')
      .set(team.auth)
      .send({ url: stage.receiver.url });
    const { id: endpointId } = made.body as { id: string };
    const { id } = await byHand.video(team);
    await stage.sql('update webhook_queues set due_at = null where endpoint_id = $1', [endpointId]);
    const session = await stage.pool.connect();
    try {
      await session.query('begin');
      await session.query('update webhook_queues set due_at = now() where endpoint_id = $1', [endpointId]);
      expect(await queues().releaseHeldAnyTenant(100)).toBe(0);
      await session.query('rollback');
    } finally {
      session.release();
    }
    expect(await queues().releaseHeldAnyTenant(100)).toBe(1);
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.queued', 'job.queued']);
  });
});

describe('a change of a job whose webhooks cannot be written', () => {
  it('should not be made, and be made whole once they can (invariant 4)', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await stage.sql('alter table webhook_deliveries add constraint none check (false) not valid');
    try {
      await byHand.look().catch(() => undefined);
      expect(await stage.row(id)).toMatchObject({ status: 'queued' });
      expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.queued']);
    } finally {
      await stage.sql('alter table webhook_deliveries drop constraint none');
    }
    await stage.sql(`update tenant_paces set poll_lease_token = null, poll_lease_expires_at = null`);
    await byHand.look();
    expect(await stage.row(id)).toMatchObject({ status: 'processing' });
    expect(await byHand.states(id)).toEqual(['job.queued pending', 'job.processing pending']);
  });
});
