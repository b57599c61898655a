import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Row, type Team } from '../../support/stage.js';
import { tick } from './ticks.js';

const LEFT_TO_PERSON = 'gateway_jobs_left_to_a_person_total';
/** No loop runs: these tests tick. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '500', RECONCILE_GRACE_MS: '400' },
  simulator: { queueMs: 600_000 },
});

const FAULTS: [string, (team: Team) => Promise<void>][] = [
  [
    'with an error',
    (team) => {
      stage.fault(team, 'server_error');
      return Promise.resolve();
    },
  ],
  [
    'with the id of another job',
    async (team) => {
      const other = await stage.video(team);
      const body = { id: other.body.tensorpix_id as number, status: 0, cost_usd: '1.0' };
      stage.fault(team, { kind: 'body', status: 201, body, commit: false });
    },
  ],
];

/** Looks, and sends as if it were time, until this holds of the row; never more often than it should. */
async function goOnUntil(team: Team, id: string, holds: (row: Row) => boolean): Promise<Row> {
  return eventually(
    async () => {
      await tick(stage, JobsReconciler);
      await stage.makeDue(id);
      await tick(stage, JobsSubmitter);
      if (stage.creates(team) > 8) throw new Error('sent without end');
      return stage.row(id);
    },
    holds,
    30_000,
  );
}

const isLeftToPerson = (row: Row) => row.status === 'unconfirmed' && row.status_reason === 'outcome_unknown';

describe('a request that TensorPix always answers', () => {
  it.each(FAULTS)(
    'should be left to a person after five calls: %s',
    async (_, spoil) => {
      const team = await stage.team();
      await spoil(team);
      const [before, left] = [stage.creates(team), await stage.metric(LEFT_TO_PERSON)];
      const same = { video_url: sourceUrl(), ml_models: [1] };
      const id = idOf(await stage.video(team, same));
      const row = await goOnUntil(team, id, isLeftToPerson);
      expect([row.attempt, stage.creates(team) - before]).toEqual([5, 5]);
      expect((await stage.events(id)).at(-1)).toMatchObject({
        type: 'job.undecided',
        data: { reason: 'sent_in_vain' },
      });
      expect(await stage.metric(LEFT_TO_PERSON)).toBe(left + 1);

      // It is known not to be there: an equal one is sent, and a person may have it sent once more.
      stage.endFaults(team);
      expect((await stage.video(team, same)).status).toBe(201);
      const path = `/v1/tenants/${team.id}/jobs/${id}/resolve`;
      const admin = { authorization: `Bearer ${ADMIN_KEY}` };
      await request(stage.gateway.url).post(path).set(admin).send({ decision: 'resubmit' }).expect(200);
      await tick(stage, JobsSubmitter);
      expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 6 });
    },
    60_000,
  );
});

it('should not count attempts that were not made, or refused for the load', async () => {
  const team = await stage.team();
  stage.fault(team, 'rate_limited', { times: 1 });
  const id = idOf(await stage.video(team));
  await stage.sql('update jobs set attempt = 9 where id = $1', [id]);
  await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
  stage.fault(team, 'server_error', { times: 1 });
  const row = await goOnUntil(team, id, ({ status }) => status === 'queued');
  expect(row.attempt).toBe(11);
});
