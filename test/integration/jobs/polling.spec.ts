import { describe, expect, it } from '@jest/globals';
import type { Fault } from '../../../simulator/faults.js';
import { useStage, type Team } from '../../support/stage.js';
import { JOBS, look as lookAt, upstreamId as upstreamIdOf, videos as videosOf } from './looks.js';

/** No loop runs: a look happens when a test ticks. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '2500' },
  simulator: { queueMs: 3_600_000, durationMs: 3_600_000, pageMax: 100 },
});

const look = () => lookAt(stage);
const videos = (team: Team, count: number, text?: string) => videosOf(stage, team, count, text);
const upstreamId = (id: string) => upstreamIdOf(stage, id);

async function end(id: string, status: 2 | -1 | -2 = 2): Promise<void> {
  stage.simulator.control.changeJob(await upstreamId(id), { status });
}

describe('a look at the jobs of a tenant', () => {
  it('should read all pages of the list until every job was seen, and no page more', async () => {
    const team = await stage.team();
    const ids = await videos(team, 230);
    for (const id of ids) await end(id);
    await look();
    const states = await stage.rowsOf(team);
    expect(states.filter(({ status }) => status === 'finished')).toHaveLength(230);
    const lists = stage.calls(team, 'GET').map(({ path }) => path);
    expect(lists.filter((path) => path.startsWith('/api/jobs/?'))).toHaveLength(3);
    expect(lists.filter((path) => /^\/api\/jobs\/\d/.test(path))).toEqual([]);
    for (const { output } of states) expect(output?.url).toMatch(/^http/);
  });

  it('should find by id what the list does not show', async () => {
    const team = await stage.team();
    const hidden = await videos(team, 3, 'sim-unlisted');
    const listed = await videos(team, 3);
    for (const id of [...hidden, ...listed]) await end(id);
    await look();
    for (const id of [...hidden, ...listed]) expect((await stage.row(id)).status).toBe('finished');
  });

  it('should reach every unlisted job in time, however many there are', async () => {
    const team = await stage.team();
    const [first = ''] = await videos(team, 1, 'sim-unlisted');
    await videos(team, 25, 'sim-unlisted');
    await end(first);
    // Each look draws by lot which of them it asks for.
    for (let looks = 0; looks < 20 && (await stage.row(first)).status !== 'finished'; looks += 1) await look();
    expect((await stage.row(first)).status).toBe('finished');
  });

  it.each([2, 5])('should find a job that has moved into the history, among %i', async (count) => {
    const team = await stage.team();
    const [gone = '', ...others] = await videos(team, count, 'sim-vanish-when-ended');
    await end(gone);
    await look();
    expect((await stage.row(gone)).status).toBe('queued');
    expect((await stage.row(gone)).result_awaited_since).not.toBeNull();
    for (const id of others) expect((await stage.row(id)).status).toBe('queued');
    const paths = stage.calls(team, 'GET').map(({ path }) => path);
    expect(paths).toContain(`/api/jobs/history/${await upstreamId(gone)}/`);
  });

  it('should see a failed and a canceled job as such', async () => {
    const team = await stage.team();
    const [failed = '', canceled = ''] = await videos(team, 2);
    await end(failed, -1);
    await end(canceled, -2);
    await look();
    expect(await stage.row(failed)).toMatchObject({ status: 'failed', error: { code: 'upstream_failed' } });
    expect((await stage.row(canceled)).status).toBe('canceled');
    expect((await stage.deliveries(failed)).map(({ event_type }) => event_type)).toEqual(['job.queued', 'job.failed']);
  });

  it('should not look any more at a tenant without jobs at TensorPix', async () => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    await end(id);
    await look();
    const [pace] = await stage.sql('select poll_due_at, poll_lease_token from tenant_paces where tenant_id = $1', [
      team.id,
    ]);
    expect(pace).toEqual({ poll_due_at: null, poll_lease_token: null });
    const before = stage.calls(team).length;
    await look();
    expect(stage.calls(team)).toHaveLength(before);
  });
});

describe('a job that TensorPix does not know any more', () => {
  it('should be lost only after several 404s over ten minutes', async () => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    stage.simulator.control.changeJob(await upstreamId(id), { behavior: 'vanish' });
    for (let looks = 1; looks <= 6; looks += 1) {
      await look();
      expect(await stage.row(id)).toMatchObject({ status: 'queued', missing_looks: looks });
    }
    expect((await stage.eventTypes(id)).filter((type) => type === 'job.missing_at_tensorpix')).toHaveLength(1);
    await stage.sql(`update jobs set missing_since = missing_since - interval '601 seconds' where id = $1`, [id]);
    await look();
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'upstream_lost' } });
    expect((await stage.deliveries(id)).at(-1)?.event_type).toBe('job.failed');
  });

  it('should not be lost for a single look long after the first', async () => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    stage.simulator.control.changeJob(await upstreamId(id), { behavior: 'vanish' });
    await look();
    await stage.sql(`update jobs set missing_since = missing_since - interval '601 seconds' where id = $1`, [id]);
    await look();
    expect((await stage.row(id)).status).toBe('queued');
  });

  it('should not be lost by a 404 that is not TensorPix’s own, however often it comes', async () => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    stage.simulator.control.changeJob(await upstreamId(id), { behavior: 'vanish' });
    await look();
    await stage.sql(`update jobs set missing_since = missing_since - interval '601 seconds' where id = $1`, [id]);
    stage.fault(
      team,
      { kind: 'body', status: 404, body: '<html>404 Not Found</html>' },
      {
        match: { method: 'GET', path: '/api/jobs/*/$' },
      },
    );
    for (let looks = 0; looks < 4; looks += 1) await look();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', missing_looks: 1 });
    expect((await stage.row(id)).tensorpix_id).not.toBeNull();
  });

  it('should go on when it turns up again', async () => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    stage.simulator.control.changeJob(await upstreamId(id), { behavior: 'vanish' });
    await look();
    stage.simulator.control.changeJob(await upstreamId(id), { behavior: 'normal' });
    await look();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', missing_looks: 0, missing_since: null });
  });
});

describe('a finished job whose result is not there yet', () => {
  it.each(['missing', 'no_file'] as const)('should wait for it: %s', async (output) => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    stage.simulator.control.changeJob(await upstreamId(id), { status: 2, output });
    for (let looks = 0; looks < 3; looks += 1) await look();
    const waiting = await stage.row(id);
    expect(waiting.status).toBe('queued');
    expect(waiting.result_awaited_since).not.toBeNull();
    expect((await stage.eventTypes(id)).filter((type) => type === 'job.result_awaited')).toHaveLength(1);

    stage.simulator.control.changeJob(await upstreamId(id), { output: null });
    await look();
    expect(await stage.row(id)).toMatchObject({ status: 'finished', progress: 1, result_awaited_since: null });
    expect((await stage.row(id)).output?.url).toMatch(/^http/);
  });

  it('should be finished without it after five minutes', async () => {
    const team = await stage.team();
    const [id = ''] = await videos(team, 1);
    stage.simulator.control.changeJob(await upstreamId(id), { status: 2, output: 'no_file' });
    await look();
    await stage.sql(`update jobs set result_awaited_since = now() - interval '299 seconds' where id = $1`, [id]);
    await look();
    expect((await stage.row(id)).status).toBe('queued');
    await stage.sql(`update jobs set result_awaited_since = now() - interval '301 seconds' where id = $1`, [id]);
    await look();
    expect(await stage.row(id)).toMatchObject({ status: 'finished', output: { url: null } });
  });
});

describe('a tenant in trouble', () => {
  it.each([
    ['429', { kind: 'rate_limited', retry_after_s: 60 }],
    ['500', { kind: 'server_error' }],
    ['HTML 502', { kind: 'bad_gateway' }],
    ['garbage', { kind: 'garbage' }],
    ['JSON of another kind', { kind: 'body', body: [1, 2] }],
    ['no answer', { kind: 'no_answer' }],
    ['reset', { kind: 'reset' }],
    ['401', { kind: 'unauthorized' }],
    ['403', { kind: 'forbidden' }],
  ] as [string, Fault][])('should keep its jobs as they are and harm nobody else: %s', async (_, fault) => {
    const cases = [];
    for (const count of [1, 4]) {
      const [troubled, healthy] = [await stage.team(), await stage.team()];
      const [ids, others] = [await videos(troubled, count), await videos(healthy, count)];
      for (const id of [...ids, ...others]) await end(id);
      stage.fault(troubled, fault, { match: { ...JOBS, token: troubled.token } });
      cases.push({ troubled, ids, others });
    }
    await look();
    for (const { troubled, ids, others } of cases) {
      for (const id of others) expect((await stage.row(id)).status).toBe('finished');
      for (const id of ids)
        expect(await stage.row(id)).toMatchObject({ status: 'queued', missing_looks: 0, error: null });
      const [pace] = await stage.sql<{ poll_failures: number }>(
        'select poll_failures from tenant_paces where tenant_id = $1',
        [troubled.id],
      );
      expect(pace?.poll_failures).toBe(1);
    }

    stage.simulator.control.clearFaults();
    await stage.sql('update tenant_paces set rest_until = null');
    await look();
    for (const id of cases.flatMap(({ ids }) => ids)) expect((await stage.row(id)).status).toBe('finished');
  });

  it('should show its rejected token, and a valid one once TensorPix takes it again', async () => {
    const team = await stage.team();
    await videos(team, 1);
    stage.fault(team, 'unauthorized', { match: { ...JOBS, token: team.token } });
    await look();
    expect(await stage.tokenStatus(team)).toBe('rejected');
    stage.simulator.control.clearFaults();
    await look();
    expect(await stage.tokenStatus(team)).toBe('valid');
  });

  it('should not be asked while TensorPix wants it to rest', async () => {
    const team = await stage.team();
    await videos(team, 1);
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 60 }, { times: 1, match: { ...JOBS, token: team.token } });
    await look();
    const before = stage.calls(team).length;
    await look();
    expect(stage.calls(team)).toHaveLength(before);
  });
});
