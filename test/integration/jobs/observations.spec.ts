import { describe, expect, it } from '@jest/globals';
import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { startGateway, type Gateway } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

/** A look is due when a test says so, and not again while others of the same round begin. */
const ENV = {
  GATEWAY_ROLE: 'api',
  TENSORPIX_TIMEOUT_MS: '12000',
  POLL_MIN_INTERVAL_MS: '3600000',
  POLL_MAX_INTERVAL_MS: '3600000',
};
/** No loop runs, and nothing moves at the simulator but what a test moves. */
const stage = useStage({
  env: ENV,
  simulator: { queueMs: 3_600_000, durationMs: 3_600_000 },
});
const ALL_EVENTS = ['job.queued', 'job.processing', 'job.progress', 'job.finished', 'job.failed', 'job.canceled'];

async function look(gateways: Gateway[] = [stage.gateway]): Promise<void> {
  await stage.makeLooksDue();
  const pollers = gateways.map(({ app }) => app.get(JobsPoller, { strict: false }));
  for (let more = true; more;) {
    more = (await Promise.all(pollers.map((poller) => poller.tick()))).some(Boolean);
    await Promise.all(pollers.map((poller) => poller.drain()));
  }
}

async function video(team: Team, fields: object = {}): Promise<{ id: string; upstream: number }> {
  const created = await stage.video(team, { callback_url: stage.receiver.url, callback_events: ALL_EVENTS, ...fields });
  expect(created.status).toBe(201);
  return { id: idOf(created), upstream: created.body.tensorpix_id as number };
}

function ignored(reason: string): Promise<number> {
  return stage.metric(`gateway_ignored_observations_total{reason="${reason}"}`);
}

describe('what TensorPix shows of a job', () => {
  it('should make progress an event, and a webhook for who asked, at steps of 0.05', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    const quiet = await video(team, { callback_events: ['job.finished'] });
    for (const progress of [0.01, 0.03, 0.07, 0.1, 0.13, 0.5, 0.54, 0.56, 0.56]) {
      for (const job of [upstream, quiet.upstream]) stage.simulator.control.changeJob(job, { status: 1, progress });
      await look();
      expect((await stage.row(id)).progress).toBe(progress);
    }
    const shown = (await stage.events(id))
      .filter(({ type }) => type === 'job.progress')
      .map(({ data }) => data.progress);
    expect(shown).toEqual([0.07, 0.13, 0.5, 0.56]);
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual([
      'job.queued',
      'job.processing',
      ...shown.map(() => 'job.progress'),
    ]);
    expect((await stage.eventTypes(quiet.id)).filter((type) => type === 'job.progress')).toHaveLength(4);
    expect(await stage.deliveries(quiet.id)).toEqual([]);
  });

  it('should supersede progress that was not delivered by the next event', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    for (const progress of [0, 0.2, 0.4]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await look();
    }
    stage.simulator.control.changeJob(upstream, { status: 2, progress: null });
    await look();
    expect((await stage.deliveries(id)).map(({ event_type, status }) => `${event_type} ${status}`)).toEqual([
      'job.queued pending',
      'job.processing pending',
      'job.progress superseded',
      'job.progress superseded',
      'job.finished pending',
    ]);
  });

  it('should change nothing, and be counted, when it goes backward', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0.4 });
    await look();
    const before = await stage.row(id);
    const counted = await ignored('backward');
    stage.simulator.control.changeJob(upstream, { status: 0, progress: 0.1 });
    await look();
    expect(await stage.row(id)).toEqual(before);
    expect(await ignored('backward')).toBe(counted + 1);
  });

  it('should keep its progress when TensorPix shows less', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    for (const progress of [0.4, 0.1]) {
      stage.simulator.control.changeJob(upstream, { status: 1, progress });
      await look();
    }
    expect(await stage.row(id)).toMatchObject({ status: 'processing', progress: 0.4 });
  });

  it('should change nothing, and be counted, when its status is unknown', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    const counted = await ignored('unknown_status');
    stage.simulator.control.changeJob(upstream, { status: 7 });
    await look();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', sequence: 2 });
    expect(await ignored('unknown_status')).toBe(counted + 1);
  });

  it('should end what was noted of its absence, although its status is unknown', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    stage.simulator.control.changeJob(upstream, { behavior: 'vanish' });
    await look();
    expect(await stage.row(id)).toMatchObject({ missing_looks: 1 });
    stage.simulator.control.changeJob(upstream, { behavior: 'normal', status: 7 });
    await look();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', missing_looks: 0, missing_since: null });
  });

  it('should be read again later when it cannot be read now, without harm to its neighbours', async () => {
    const team = await stage.team();
    const jobs = [await video(team), await video(team), await video(team)];
    const results = jobs.map(({ upstream }, i) => ({
      id: upstream,
      status: ['constructor', 1, 2][i],
      processing_progress: 0.5,
      output_video: { id: 5, file: 'https://x.example/o.mp4' },
    }));
    const page = { count: 3, next: null, previous: null, results: [...results, 'x', null] };
    stage.fault(team, { kind: 'body', body: page }, { times: 1, match: { method: 'GET', path: '/api/jobs/$' } });
    await look();
    const states = await Promise.all(jobs.map(async ({ id }) => (await stage.row(id)).status));
    expect(states).toEqual(['queued', 'processing', 'finished']);
    const [pace] = await stage.sql('select poll_lease_token from tenant_paces where tenant_id = $1', [team.id]);
    expect(pace).toEqual({ poll_lease_token: null });
  });
});

describe('two replicas that poll', () => {
  it('should never look at one tenant at the same time (invariant 8)', async () => {
    const second = await startGateway(stage.databaseUrl, stage.simulator.url, ENV);
    try {
      const teams = await Promise.all(Array.from({ length: 5 }, () => stage.team()));
      for (const team of teams) await video(team);
      await look([stage.gateway, second, stage.gateway, second]);
      for (const team of teams)
        expect(stage.calls(team, 'GET').filter(({ path }) => path.includes('jobs'))).toHaveLength(1);
    } finally {
      await second.close();
    }
  });

  it('should not write anything with a claim that another has taken over (invariant 8)', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    stage.simulator.control.changeJob(upstream, { status: 1, progress: 0.4 });
    const answer = stage.hold(team, { method: 'GET', path: '/api/jobs/*/$' });
    const before = await stage.row(id);
    const lost = await stage.metric('gateway_lost_leases_total{loop="poller"}');
    const looking = look();
    await answer.untilHeld();
    const taken = await stage.sql(
      `update tenant_paces set poll_lease_token = '01935000-0000-7000-8000-0000000000ff'
        where tenant_id = $1 and poll_lease_token is not null returning 1`,
      [team.id],
    );
    expect(taken).toHaveLength(1);
    answer.arrive();
    await looking;
    expect(await stage.row(id)).toEqual(before);
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.queued']);
    expect(await stage.metric('gateway_lost_leases_total{loop="poller"}')).toBe(lost + 1);
    const [pace] = await stage.sql('select poll_lease_token from tenant_paces where tenant_id = $1', [team.id]);
    expect(pace?.poll_lease_token).toBe('01935000-0000-7000-8000-0000000000ff');
  });

  it('should not write anything with a claim that has expired', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    stage.simulator.control.changeJob(upstream, { status: 1 });
    const answer = stage.hold(team, { method: 'GET', path: '/api/jobs/*/$' });
    const looking = look();
    await answer.untilHeld();
    await stage.sql(
      `update tenant_paces set poll_lease_expires_at = now() - interval '1 second' where tenant_id = $1`,
      [team.id],
    );
    answer.arrive();
    await looking;
    expect((await stage.row(id)).status).toBe('queued');
  });

  it('should take over the tenant of a replica that died, once its claim has expired', async () => {
    const team = await stage.team();
    const { id, upstream } = await video(team);
    stage.simulator.control.changeJob(upstream, { status: 1 });
    const claim = (expires: string) =>
      stage.sql(
        `update tenant_paces set poll_lease_token = gen_random_uuid(), poll_lease_expires_at = now() + $2::interval
          where tenant_id = $1`,
        [team.id, expires],
      );
    await claim('1 hour');
    await look();
    expect((await stage.row(id)).status).toBe('queued');
    await claim('-1 second');
    await look();
    expect((await stage.row(id)).status).toBe('processing');
  });
});
