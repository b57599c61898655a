import { describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { Lease } from '../../../src/common/loops/lease.js';
import { DeliveryClaimsStore } from '../../../src/modules/webhooks/delivery-claims.store.js';
import { DeliveryOutcomesStore } from '../../../src/modules/webhooks/delivery-outcomes.store.js';
import { ManualRetriesStore } from '../../../src/modules/webhooks/manual-retries.store.js';
import { ReceiverGate } from '../../../src/modules/webhooks/receiver-gate.js';
import { WebhooksDispatcher } from '../../../src/modules/webhooks/webhooks.dispatcher.js';
import { eventually } from '../../support/gateway.js';
import { useStage } from '../../support/stage.js';
import { ByHand } from './by-hand.js';

const HOUR_MS = 3_600_000;

/** No loop runs: the tests tick, and move the jobs at the simulator. Three failures in a row are quick, the fourth is not. */
const stage = useStage({
  env: {
    GATEWAY_ROLE: 'api',
    CALLBACK_TIMEOUT_MS: '60000',
    CALLBACK_RETRY_SCHEDULE_MS: ['1', '1', HOUR_MS, HOUR_MS, HOUR_MS, HOUR_MS, HOUR_MS].join(','),
  },
  simulator: { queueMs: HOUR_MS, durationMs: HOUR_MS },
});
const EVENTS = ['job.queued', 'job.processing', 'job.finished'];
const byHand = new ByHand(stage, EVENTS);

/** What waits for a retry is due. */
async function wait(id: string): Promise<void> {
  await stage.sql(`update webhook_queues set due_at = now() - interval '1 second' where id = $1`, [id]);
}

/** Answers job.queued with this, all else with 204. */
function answerQueued(status: number, headers: Record<string, string> = {}): void {
  stage.receiver.answer(({ json }, response) => {
    if (json.type === 'job.queued') response.writeHead(status, headers).end();
    else response.writeHead(204).end();
  });
}

async function states(id: string): Promise<string[]> {
  return (await stage.deliveries(id)).map(({ event_type, status, attempts }) => `${event_type} ${status} ${attempts}`);
}

async function dueInMs(id: string): Promise<number> {
  const [row] = await stage.sql<{ ms: number }>(
    'select (extract(epoch from due_at - now()) * 1000)::float8 as ms from webhook_queues where id = $1',
    [id],
  );
  return row?.ms ?? Number.NaN;
}

describe('a webhook that has failed often', () => {
  it.each([4, 5])('should keep to the schedule, though an event comes during attempt %i', async (attempt) => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    answerQueued(503);
    for (let made = 1; made < attempt; made += 1) {
      await wait(id);
      await byHand.dispatch();
    }
    let open: ServerResponse | undefined;
    stage.receiver.answer((_, response) => void (open = response));
    await wait(id);
    await stage.gateway.app.get(WebhooksDispatcher, { strict: false }).tick();
    await eventually(
      () => open,
      (response) => response !== undefined,
    );
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    open?.writeHead(503).end();
    await stage.gateway.app.get(WebhooksDispatcher, { strict: false }).drain();
    expect(await states(id)).toEqual([`job.queued failing ${attempt}`, 'job.processing pending 0']);
    expect(await dueInMs(id)).toBeGreaterThan(HOUR_MS * 0.9);
  });
});

describe('a webhook that waits for a retry', () => {
  it('should go on waiting when a person gets a later one of its job through', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    answerQueued(503);
    for (let made = 0; made < 3; made += 1) await byHand.dispatch();
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    const later = (await stage.deliveries(id))[1]!;
    const retries = stage.gateway.app.get(ManualRetriesStore, { strict: false });
    await retries.insert(team.id, { id: later.id, endpointId: null, url: stage.receiver.url });
    await byHand.dispatch();
    expect(await states(id)).toEqual(['job.queued failing 3', 'job.processing delivered 0']);
    expect(await dueInMs(id)).toBeGreaterThan(HOUR_MS * 0.9);
  });
});

describe('a webhook that its receiver refuses', () => {
  it('should let the end of the job through within minutes (five failures, contract, section 7)', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    answerQueued(400);
    for (let made = 0; made < 3; made += 1) await byHand.dispatch();
    expect(await states(id)).toEqual(['job.queued failing 3']);
    expect(await dueInMs(id)).toBeGreaterThan(HOUR_MS * 0.9);

    stage.simulator.control.changeJob(upstream, { status: 2 });
    await byHand.look();
    for (const failures of [3, 4]) {
      expect(await states(id)).toEqual([`job.queued failing ${failures}`, 'job.finished pending 0']);
      expect(await dueInMs(id)).toBeLessThan(75_000);
      await wait(id);
      await byHand.dispatch();
    }
    expect(await states(id)).toEqual(['job.queued superseded 5', 'job.finished pending 0']);
    await byHand.dispatch();
    expect(await states(id)).toEqual(['job.queued superseded 5', 'job.finished delivered 1']);
    expect(stage.receiver.types(id)).toEqual([...Array.from({ length: 5 }, () => 'job.queued'), 'job.finished']);
  });

  it('should wait as long as the receiver asks, though its job has ended', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    for (let made = 0; made < 2; made += 1) {
      answerQueued(400);
      await byHand.dispatch();
    }
    answerQueued(400, { 'retry-after': '1800' });
    await byHand.dispatch();
    stage.simulator.control.changeJob(upstream, { status: 2 });
    await byHand.look();
    expect(await dueInMs(id)).toBeGreaterThan(1_700_000);
    expect(await dueInMs(id)).toBeLessThan(1_810_000);
  });

  it.each([429, 500])('should wait for its turn when the answer was %i: it may be taken later', async (status) => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    answerQueued(status);
    for (let made = 0; made < 3; made += 1) await byHand.dispatch();
    stage.simulator.control.changeJob(upstream, { status: 2 });
    await byHand.look();
    expect(await dueInMs(id)).toBeGreaterThan(HOUR_MS * 0.9);
  });
});

describe('an outcome with a text that no database can store', () => {
  it('should be written without it', async () => {
    const team = await stage.team();
    const { id } = await byHand.video(team);
    const lease = new Lease(60_000);
    await stage.sql('select pg_sleep(0.005)');
    const claims = stage.gateway.app.get(DeliveryClaimsStore, { strict: false });
    const { deliveries } = await claims.claimOldestAnyTenant(lease, new ReceiverGate().places());
    const delivery = deliveries.find(({ jobId }) => jobId === id)!;
    const outcomes = stage.gateway.app.get(DeliveryOutcomesStore, { strict: false });
    const outcome = {
      delivery,
      leaseToken: lease.token,
      status: 'failing',
      retryInMs: HOUR_MS,
      attempt: null,
    } as const;
    const marked = await outcomes.mark({ ...outcome, error: 'tls: cut within a character: \ud83d' });
    expect(marked.written).toBe(true);
    expect(await stage.deliveries(id)).toMatchObject([
      { status: 'failing', attempts: 1, last_error: 'the reason could not be stored' },
    ]);
  });
});
