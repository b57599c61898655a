import { describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { ManualRetriesStore } from '../../../src/modules/webhooks/manual-retries.store.js';
import { eventually } from '../../support/gateway.js';
import { startReceiver } from '../../support/receiver.js';
import { useStage } from '../../support/stage.js';
import { ByHand } from './by-hand.js';

/** No loop runs: the tests tick, and move the jobs at the simulator. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', CALLBACK_TIMEOUT_MS: '60000', CALLBACK_RETRY_SCHEDULE_MS: '1,1,1,1,1,1,1' },
  simulator: { queueMs: 3_600_000, durationMs: 3_600_000 },
});
const byHand = new ByHand(stage);

function failFor(id: string, code = 500): void {
  stage.receiver.answer(({ json }, response) => void response.writeHead(json.data.id === id ? code : 204).end());
}

describe('the webhooks of a job', () => {
  it('should wait for the first that fails, while those of another job go on', async () => {
    const team = await stage.team();
    const [held, free] = [await byHand.video(team), await byHand.video(team)];
    failFor(held.id);
    for (const { upstream } of [held, free]) stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    await byHand.dispatch();
    await byHand.dispatch();
    expect(stage.receiver.types(free.id)).toEqual(['job.queued', 'job.processing']);
    expect(stage.receiver.types(held.id)).toEqual(['job.queued', 'job.queued']);
    expect(await byHand.states(held.id)).toEqual(['job.queued failing', 'job.processing pending']);
    expect((await stage.get(team, `/v1/jobs/${held.id}`)).body.callback).toMatchObject({
      state: 'failing',
      attempts: 2,
    });

    failFor('nobody');
    await byHand.dispatch();
    await byHand.dispatch();
    expect(stage.receiver.types(held.id)).toEqual(['job.queued', 'job.queued', 'job.queued', 'job.processing']);
    expect((await stage.get(team, `/v1/jobs/${held.id}`)).body.callback).toMatchObject({
      state: 'delivered',
      last_error: null,
    });
  });

  it('should be one in flight, though the next is due (contract, section 7)', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    const open: ServerResponse[] = [];
    stage.receiver.answer((_, response) => void open.push(response));
    await byHand.startAttempts();
    await eventually(
      () => open.length,
      (count) => count === 1,
    );
    await byHand.startAttempts();
    expect(stage.receiver.types(id)).toEqual(['job.queued']);
    stage.receiver.answer((_, response) => void response.writeHead(204).end());
    open[0]?.writeHead(204).end();
    await byHand.untilAttempted();
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual(['job.queued', 'job.processing']);
  });

  it('should go on with the next when one was given up', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    failFor(id, 410);
    const lost = await stage.metric('gateway_webhooks_given_up_total{reason="gone"}');
    await byHand.dispatch();
    expect(await stage.metric('gateway_webhooks_given_up_total{reason="gone"}')).toBe(lost + 1);
    failFor('nobody');
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    await byHand.dispatch();
    expect(await byHand.states(id)).toEqual(['job.queued exhausted', 'job.processing delivered']);
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.callback.state).toBe('exhausted');
  });

  it('should carry numbers that grow', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    for (const progress of [0, 0.3]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await byHand.look();
      await byHand.dispatch();
      await byHand.dispatch();
    }
    stage.simulator.control.changeJob(upstream, { status: 2, progress: null });
    await byHand.look();
    await byHand.dispatch();
    const sequences = stage.receiver.received
      .filter(({ json }) => json.data.id === id)
      .map(({ json }) => json.data.sequence);
    expect(stage.receiver.types(id)).toEqual(['job.queued', 'job.processing', 'job.progress', 'job.finished']);
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(new Set(sequences).size).toBe(4);
  });

  it('should skip what has failed five times once the job has ended', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    failFor(id);
    for (let attempt = 0; attempt < 5; attempt += 1) await byHand.dispatch();
    stage.simulator.control.changeJob(upstream, { status: 2 });
    await byHand.look();
    expect(await byHand.states(id)).toEqual(['job.queued superseded', 'job.finished pending']);
    failFor('nobody');
    await byHand.dispatch();
    expect(stage.receiver.types(id).at(-1)).toBe('job.finished');
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.callback.state).toBe('delivered');
  });

  it('should not skip what has failed less often', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    failFor(id);
    for (let attempt = 0; attempt < 4; attempt += 1) await byHand.dispatch();
    stage.simulator.control.changeJob(upstream, { status: 2 });
    await byHand.look();
    expect(await byHand.states(id)).toEqual(['job.queued failing', 'job.finished pending']);
    failFor('nobody');
    await byHand.dispatch();
    await byHand.dispatch();
    expect(stage.receiver.types(id).slice(4)).toEqual(['job.queued', 'job.finished']);
  });

  it('should not be held back by progress that fails after the next event is there', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    for (const progress of [0, 0.3]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await byHand.look();
    }
    await byHand.dispatch();
    await byHand.dispatch();
    let open: ServerResponse | undefined;
    stage.receiver.answer((_, response) => void (open = response));
    await byHand.startAttempts();
    await eventually(
      () => open,
      (response) => response !== undefined,
    );
    stage.simulator.control.changeJob(upstream, { status: 2, progress: null });
    await byHand.look();
    failFor(id);
    open?.writeHead(500).end();
    await byHand.untilAttempted();
    expect(await byHand.states(id)).toEqual([
      'job.queued delivered',
      'job.processing delivered',
      'job.progress superseded',
      'job.finished pending',
    ]);
  });
});

describe('a webhook that its receiver wants later', () => {
  function later(type: string): void {
    stage.receiver.answer(({ json }, response) => {
      if (json.type === type) response.writeHead(503, { 'retry-after': '3600' }).end();
      else response.writeHead(204).end();
    });
  }

  async function waits(id: string): Promise<object | undefined> {
    const [row] = await stage.sql(
      `select failures, due_at > now() + interval '50 minutes' as hour from webhook_queues where id = $1`,
      [id],
    );
    return row;
  }

  it('should not be hurried by progress, which overtakes progress only', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    later('job.queued');
    await byHand.dispatch();
    for (const progress of [0, 0.2, 0.4, 0.6]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await byHand.look();
      await byHand.dispatch();
    }
    expect(stage.receiver.types(id)).toEqual(['job.queued']);
    expect(await byHand.states(id)).toEqual([
      'job.queued failing',
      'job.processing pending',
      'job.progress superseded',
      'job.progress superseded',
      'job.progress pending',
    ]);
  });

  it('should give its time to the progress that takes its place, and to nothing else', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    later('job.progress');
    for (const progress of [0, 0.2, 0.4, 0.6]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await byHand.look();
      await byHand.dispatch();
      await byHand.dispatch();
    }
    expect(stage.receiver.types(id)).toEqual(['job.queued', 'job.processing', 'job.progress']);
    expect((await byHand.states(id)).slice(2)).toEqual([
      'job.progress superseded',
      'job.progress superseded',
      'job.progress pending',
    ]);
    expect(await waits(id)).toEqual({ failures: 1, hour: true });

    stage.simulator.control.changeJob(upstream, { status: 2, progress: null });
    await byHand.look();
    await byHand.dispatch();
    expect(stage.receiver.types(id).slice(2)).toEqual(['job.progress', 'job.finished']);
  });

  it('should give its time to progress that was written while it was under way, and to nothing else', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    const open: ServerResponse[] = [];
    stage.receiver.answer(({ json }, response) => {
      if (json.type === 'job.progress') open.push(response);
      else response.writeHead(204).end();
    });
    for (const progress of [0, 0.2]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await byHand.look();
    }
    await byHand.dispatch();
    await byHand.dispatch();
    await byHand.startAttempts();
    await eventually(
      () => open.length,
      (count) => count === 1,
    );
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0.4 });
    await byHand.look();
    open[0]?.writeHead(503, { 'retry-after': '3600' }).end();
    await byHand.untilAttempted();
    expect((await byHand.states(id)).slice(2)).toEqual(['job.progress superseded', 'job.progress pending']);
    expect(await waits(id)).toEqual({ failures: 1, hour: true });
    await byHand.dispatch();
    expect(open).toHaveLength(1);

    stage.simulator.control.changeJob(upstream, { status: 2, progress: null });
    await byHand.look();
    await byHand.dispatch();
    expect(stage.receiver.types(id).slice(2)).toEqual(['job.progress', 'job.finished']);
  });

  it('should not be hurried by a manual retry of another one that was delivered before', async () => {
    const team = await stage.team();
    const { id, upstream } = await byHand.video(team);
    await byHand.dispatch();
    later('job.processing');
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0 });
    await byHand.look();
    await byHand.dispatch();
    const [first] = await stage.deliveries(id);
    const retries = stage.gateway.app.get(ManualRetriesStore, { strict: false });
    for (let i = 0; i < 3; i += 1) {
      await retries.insert(team.id, { id: first?.id ?? '', endpointId: null, url: stage.receiver.url });
      await byHand.dispatch();
    }
    await byHand.dispatch();
    expect(stage.receiver.types(id)).toEqual([
      'job.queued',
      'job.processing',
      'job.queued',
      'job.queued',
      'job.queued',
    ]);
    expect(await byHand.states(id)).toEqual(['job.queued delivered', 'job.processing failing']);
  });
});

describe('a receiver that never answers', () => {
  it('should cost the others nothing (invariant 16)', async () => {
    const team = await stage.team();
    const dead = await startReceiver();
    dead.answer(() => undefined);
    try {
      for (let batch = 0; batch < 5; batch += 1)
        await Promise.all(Array.from({ length: 50 }, () => byHand.video(team, dead.url)));
      await byHand.startAttempts();
      const { id } = await byHand.video(team);
      for (let ticks = 0; ticks < 300 && stage.receiver.types(id).length === 0; ticks += 1) {
        await byHand.startAttempts();
        await stage.sql('select pg_sleep(0.1)');
      }
      expect(stage.receiver.types(id)).toEqual(['job.queued']);
    } finally {
      await dead.close();
    }
  });
});
