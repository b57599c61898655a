import { describe, expect, it } from '@jest/globals';
import type { FaultKind } from '../../../simulator/faults.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Row, type Team } from '../../support/stage.js';
import { tick } from './ticks.js';

const TIMEOUT_MS = 1_000;
const GRACE_MS = 400;
const PATIENCE_GRACES = 30;
/** No loop runs: these tests tick. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: String(TIMEOUT_MS), RECONCILE_GRACE_MS: String(GRACE_MS) },
});
const LIST = { method: 'GET', path: '/api/jobs/$' };

async function unconfirmed(team: Team, kind: FaultKind): Promise<string> {
  stage.fault(team, kind, { times: 1 });
  const created = await stage.video(team, { video_url: sourceUrl('sim-stick') });
  expect([created.status, created.body.status]).toEqual([202, 'unconfirmed']);
  return idOf(created);
}

/** A look at the account of this job, from its begin to its verdict. */
async function look(id: string): Promise<Row> {
  await stage.sql(
    `update tensorpix_accounts set reconcile_due_at = now() where id = (select account_id from jobs where id = $1)`,
    [id],
  );
  await tick(stage, JobsReconciler);
  return stage.row(id);
}

function listCalls(team: Team): number {
  return stage.calls(team, 'GET').filter(({ path }) => path.startsWith('/api/jobs/?')).length;
}

/**
 * Time passes: the call's outcome became unknown so many graces before its judgement could begin, and the first answer in doubt, if
 * there was one, came so many graces ago.
 */
async function passGraces(id: string, graces: number): Promise<void> {
  await stage.sql(
    `update jobs
        set unknown_since = now() - ($2::int + $3::float8 * $4::int) * interval '1 millisecond',
            doubted_since = case when doubted_since is not null then now() - $3::float8 * $4::int * interval '1 millisecond' end
      where id = $1`,
    [id, TIMEOUT_MS + GRACE_MS, graces, GRACE_MS],
  );
}

/** A list of two pages, each look at which finds one more on the second page than the first has told of. */
function moveCount(team: Team): void {
  for (let looks = 0; looks < 50; looks += 1) {
    const first = { count: 1, next: `${stage.simulator.url}/api/jobs/?limit=100&offset=1`, results: [{ id: 900_001 }] };
    const second = { count: 2, next: null, results: [{ id: 900_002 }] };
    for (const body of [first, second]) stage.fault(team, { kind: 'body', body }, { times: 1, match: LIST });
  }
}

/** A list with fewer jobs in it than it says. */
function hideJobs(team: Team): void {
  const body = { count: 1, next: null, previous: null, results: [] };
  stage.fault(team, { kind: 'body', body }, { match: LIST });
}

const NEVER_WHOLE: [string, (team: Team) => void][] = [
  ['is refused', (team) => stage.fault(team, 'forbidden', { match: LIST })],
  ['has another count on each page', moveCount],
  ['has fewer jobs than it says', hideJobs],
];

describe.each(NEVER_WHOLE)('a job of unknown outcome whose list %s', (_, spoil) => {
  it('should be looked for during thirty graces, and then be left to a person', async () => {
    const team = await stage.team();
    spoil(team);
    const id = await unconfirmed(team, 'no_answer');
    for (const graces of [1, PATIENCE_GRACES / 2]) {
      await passGraces(id, graces);
      expect(await look(id)).toMatchObject({ status: 'unconfirmed', status_reason: 'upstream_unavailable' });
    }
    expect(listCalls(team)).toBeGreaterThanOrEqual(2);
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.unconfirmed', 'job.doubted']);

    await passGraces(id, PATIENCE_GRACES);
    const left = await look(id);
    expect(left).toMatchObject({ status: 'unconfirmed', status_reason: 'outcome_unknown', attempt: 1 });
    expect(left.tensorpix_id).toBeNull();
    expect((await stage.events(id)).slice(2)).toMatchObject([
      { type: 'job.doubted', data: { reason: 'lists_never_whole' } },
      { type: 'job.undecided', data: { reason: 'lists_never_whole' } },
    ]);
    expect(stage.creates(team)).toBe(1);
    expect((await stage.get(team, `/v1/jobs/${id}`)).body).toMatchObject({
      status: 'unconfirmed',
      status_reason: 'outcome_unknown',
    });
  });
});

describe('a job of unknown outcome whose lists come after an outage of more than thirty graces', () => {
  it.each<[string, (team: Team) => void]>([
    ['first list shifts', hideJobs],
    [
      'first look finds more results of another system than it may ask for',
      (team) =>
        void stage.simulator.control.seed({
          token: team.token,
          jobs: 21,
          status: 2,
          video_url: 'https://media.example.com/foreign-{n}-sim-unlisted-when-ended.mp4',
        }),
    ],
  ])('should not be left to a person because the %s', async (_, spoil) => {
    const team = await stage.team();
    spoil(team);
    const id = await unconfirmed(team, 'server_error');
    await passGraces(id, 100 * PATIENCE_GRACES);
    expect(await look(id)).toMatchObject({ status: 'unconfirmed', status_reason: 'upstream_unavailable' });
    expect((await stage.eventTypes(id)).at(-1)).toBe('job.doubted');
  });

  it('should not be left to a person because another look came too soon after the first clean one', async () => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'server_error');
    await passGraces(id, 100 * PATIENCE_GRACES);
    await look(id);
    expect((await stage.eventTypes(id)).at(-1)).toBe('job.not_found');
    await stage.sql(`update jobs set clean_look_at = now() + interval '1 hour' where id = $1`, [id]);
    expect(await look(id)).toMatchObject({ status: 'unconfirmed', status_reason: 'upstream_unavailable' });
    expect((await stage.eventTypes(id)).at(-1)).toBe('job.not_found');
  });
});

describe.each(['server_error', 'bad_gateway', 'reset'] as FaultKind[])(
  'a job of unknown outcome whose list does not come (%s)',
  (trouble) => {
    it.each([
      ['adopted', 'error_after_commit', 1],
      ['sent again', 'server_error', 2],
    ] as [string, FaultKind, number][])(
      'should be waited for without end, and be %s when the list comes',
      async (_, kind, creates) => {
        const team = await stage.team();
        stage.fault(team, trouble, { match: LIST });
        const id = await unconfirmed(team, kind);
        await passGraces(id, 100 * PATIENCE_GRACES);
        for (let looks = 1; looks <= 3; looks += 1) {
          expect(await look(id)).toMatchObject({ status: 'unconfirmed', status_reason: 'upstream_unavailable' });
          expect(listCalls(team)).toBe(looks);
        }
        expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.unconfirmed']);

        stage.simulator.control.clearFaults();
        await eventually(
          () => look(id),
          ({ status, status_reason }) => status !== 'unconfirmed' || status_reason === 'outcome_unknown',
        );
        await tick(stage, JobsSubmitter);
        expect(await stage.eventTypes(id)).not.toContain('job.undecided');
        expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: creates });
        expect(stage.creates(team)).toBe(creates);
      },
    );
  },
);
