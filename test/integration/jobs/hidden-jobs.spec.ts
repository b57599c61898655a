import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import type { FaultKind } from '../../../simulator/faults.js';
import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Row, type Team } from '../../support/stage.js';
import { tick } from './ticks.js';

const SINGLE_CALLS_A_LOOK = 20;
const TIMEOUT_MS = 10_000;
/** No loop runs: these tests tick, and so decide what has happened before a look. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: String(TIMEOUT_MS), RECONCILE_GRACE_MS: '400' },
});

/** A call of unknown outcome, as if it were so long ago that it can have no effect any more. */
async function unconfirmed(team: Team, kind: FaultKind, fields: object = {}): Promise<string> {
  stage.fault(team, kind, { times: 1 });
  const created = await stage.video(team, fields);
  expect([created.status, created.body.status]).toEqual([202, 'unconfirmed']);
  const id = idOf(created);
  const passed = `unknown_since = unknown_since - $2::int * interval '1 millisecond'`;
  await stage.sql(`update jobs set ${passed} where id = $1`, [id, TIMEOUT_MS]);
  return id;
}

/** A look at every account that is to be looked at, now or later. */
async function look(): Promise<void> {
  await stage.sql('update tensorpix_accounts set reconcile_due_at = now() where reconcile_due_at is not null');
  await tick(stage, JobsReconciler);
}

/** Looks until this holds of the row. */
async function lookUntil(id: string, holds: (row: Row) => boolean): Promise<Row> {
  return eventually(async () => {
    await look();
    return stage.row(id);
  }, holds);
}

/** The ids that the team's jobs were asked for by, one for each call. */
function singlesOf(paths: string[]): number[] {
  return paths.flatMap((path) => /^\/api\/jobs\/(\d+)\/$/.exec(path)?.[1] ?? []).map(Number);
}

describe('ended jobs of another system that have left the list', () => {
  it('should be asked for once each, twenty a look, and then keep nobody from a verdict', async () => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'server_error');
    const { first_id: first } = stage.simulator.control.seed({
      token: team.token,
      jobs: 2 * SINGLE_CALLS_A_LOOK + 5,
      status: 2,
      video_url: 'https://media.example.com/foreign-{n}-sim-unlisted-when-ended.mp4',
    });
    const foreign = Array.from({ length: 2 * SINGLE_CALLS_A_LOOK + 5 }, (_, n) => first + n);

    await lookUntil(id, ({ status }) => status === 'submitting');
    const paths = stage.calls(team, 'GET').map(({ path }) => path);
    expect(singlesOf(paths).sort((a, b) => a - b)).toEqual(foreign);
    const looks = paths.join(' ').split('/api/restored-videos/').slice(1);
    const asked = looks.map((look) => singlesOf(look.split(' ')).length);
    expect(asked.filter((count) => count > 0)).toEqual([SINGLE_CALLS_A_LOOK, SINGLE_CALLS_A_LOOK, 5]);
    // Only looks that knew them all count, of which the third was the first.
    const notFound = (await stage.events(id)).filter(({ type }) => type === 'job.not_found');
    expect(notFound.map(({ data }) => data.look)).toEqual([1, 2]);
    expect(looks.length).toBeGreaterThanOrEqual(4);

    await tick(stage, JobsSubmitter);
    expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(stage.creates(team)).toBe(2);
  });
});

describe('an ended job of our own that has left the list', () => {
  it('should be no trace of another request with its URL and other models, which is sent again', async () => {
    const team = await stage.team();
    const video_url = sourceUrl('sim-unlisted-when-ended');
    const id = await unconfirmed(team, 'server_error', { video_url, ml_models: [1] });
    const other = await stage.video(team, { video_url, ml_models: [2] });
    expect(other.status).toBe(201);
    await eventually(
      async () => {
        await stage.makeLooksDue();
        await tick(stage, JobsPoller);
        return stage.row(idOf(other));
      },
      ({ status }) => status === 'finished',
    );

    await lookUntil(id, ({ status, status_reason }) => status !== 'unconfirmed' || status_reason === 'outcome_unknown');
    expect(await stage.eventTypes(id)).toEqual([
      'job.submitting',
      'job.unconfirmed',
      'job.not_found',
      'job.not_found',
      'job.submitting',
    ]);
    await tick(stage, JobsSubmitter);
    expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(stage.creates(team)).toBe(3);
  });
});

describe('a listed job that does not show its models', () => {
  it('should not be adopted, and stand against sending again, and be left to a person', async () => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'error_after_commit', { video_url: sourceUrl('sim-stick') });
    const list = await request(stage.simulator.url)
      .get('/api/jobs/')
      .set({ authorization: `Token ${team.token}` })
      .expect(200);
    const { results, ...page } = list.body as { results: Record<string, unknown>[] };
    expect(results).toHaveLength(1);
    const body = { ...page, results: results.map((job) => ({ ...job, ml_models: undefined })) };
    stage.fault(team, { kind: 'body', body }, { match: { method: 'GET', path: '/api/jobs/$' } });

    const row = await lookUntil(id, ({ status, status_reason }) => {
      return status !== 'unconfirmed' || status_reason === 'outcome_unknown';
    });
    expect(row).toMatchObject({ status: 'unconfirmed', tensorpix_id: null, attempt: 1 });
    expect((await stage.events(id)).slice(1)).toMatchObject([
      { type: 'job.unconfirmed' },
      { type: 'job.doubted', data: { reason: 'left_a_trace' } },
      { type: 'job.undecided', data: { reason: 'left_a_trace' } },
    ]);
    await tick(stage, JobsSubmitter);
    expect(stage.creates(team)).toBe(1);

    // What the person is still asked about is settled by a later look that shows them.
    stage.simulator.control.clearFaults();
    await stage.sql('update tensorpix_accounts set reconcile_due_at = now() where reconcile_due_at is null');
    await lookUntil(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect((await stage.eventTypes(id)).slice(-2)).toEqual(['job.adopted', 'job.queued']);
    expect(stage.creates(team)).toBe(1);
  });
});

describe('a job that only its result tells of', () => {
  /** It was made, and has ended and left the list before anybody looked. */
  async function ended(team: Team): Promise<{ id: string; upstream: number }> {
    const video_url = sourceUrl('sim-unlisted-when-ended');
    const id = await unconfirmed(team, 'error_after_commit', { video_url });
    const made = [...stage.simulator.state.jobs.values()].find(({ input }) => input.externalUrl === video_url);
    const upstream = made?.id ?? 0;
    stage.simulator.control.changeJob(upstream, { status: 2 });
    await stage.sql(`update jobs set unknown_since = now() - interval '1 minute' where id = $1`, [id]);
    return { id, upstream };
  }

  it('should be adopted although TensorPix did not know it at first', async () => {
    const team = await stage.team();
    const { id, upstream } = await ended(team);
    const fault = { kind: 'body', status: 404, body: { detail: 'Not found.' } } as const;
    stage.fault(team, fault, { times: 1, match: { method: 'GET', path: `/api/jobs/${upstream}/$` } });
    stage.fault(team, fault, { times: 1, match: { method: 'GET', path: `/api/jobs/history/${upstream}/$` } });
    const row = await lookUntil(id, ({ status }) => status !== 'unconfirmed');
    expect(row).toMatchObject({ tensorpix_id: String(upstream), attempt: 1 });
    expect(stage.creates(team)).toBe(1);
  });

  it('should be adopted although TensorPix cannot show another one', async () => {
    const team = await stage.team();
    const { first_id: foreign } = stage.simulator.control.seed({
      token: team.token,
      jobs: 1,
      status: 2,
      video_url: 'https://media.example.com/foreign-{n}-sim-unlisted-when-ended.mp4',
    });
    const { id, upstream } = await ended(team);
    stage.fault(team, 'server_error', { match: { method: 'GET', path: `/api/jobs/${foreign}/$` } });
    const row = await lookUntil(id, ({ status }) => status !== 'unconfirmed');
    expect(row).toMatchObject({ tensorpix_id: String(upstream), attempt: 1 });
  });
});

describe('a search list that a proxy refuses', () => {
  it.each([403, 404])('should prove nothing: %i', async (status) => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'server_error');
    const body = '<html>maintenance</html>';
    stage.fault(team, { kind: 'body', status, body }, { match: { method: 'GET', path: '/api/videos/$' } });
    const searches = () => stage.calls(team, 'GET').filter(({ path }) => path.startsWith('/api/videos/')).length;
    await eventually(
      async () => {
        await look();
        return searches();
      },
      (count) => count >= 4,
    );
    expect((await stage.row(id)).status).toBe('unconfirmed');
    expect(await stage.eventTypes(id)).not.toContain('job.not_found');
    stage.simulator.control.clearFaults();
    await lookUntil(id, ({ status: now }) => now === 'submitting');
  });
});

describe('a TensorPix that shows URLs in another way than they were sent', () => {
  it('should not be believed that a job is not there, while it shows that of one of our own', async () => {
    const team = await stage.team();
    const presigned = () => sourceUrl('sim-stick') + '?X-Amz-Signature=0123456789abcdef';
    expect((await stage.video(team, { video_url: presigned() })).status).toBe(201);
    const id = await unconfirmed(team, 'error_after_commit', { video_url: presigned() });
    const list = await request(stage.simulator.url)
      .get('/api/jobs/')
      .set({ authorization: `Token ${team.token}` })
      .expect(200);
    const cut = JSON.stringify(list.body).replaceAll(/\?X-Amz-Signature=\w+/g, '');
    expect(cut).not.toBe(JSON.stringify(list.body));
    stage.fault(
      team,
      { kind: 'body', body: JSON.parse(cut) as object },
      { match: { method: 'GET', path: '/api/jobs/$' } },
    );
    stage.fault(
      team,
      { kind: 'body', body: { count: 0, next: null, previous: null, results: [] } },
      { match: { method: 'GET', path: '/api/videos/$' } },
    );

    await lookUntil(id, ({ status, status_reason }) => status !== 'unconfirmed' || status_reason === 'outcome_unknown');
    expect((await stage.events(id)).slice(1)).toMatchObject([
      { type: 'job.unconfirmed' },
      { type: 'job.doubted', data: { reason: 'shown_otherwise' } },
      { type: 'job.undecided', data: { reason: 'shown_otherwise' } },
    ]);
    await tick(stage, JobsSubmitter);
    expect(stage.creates(team)).toBe(2);
  });
});
