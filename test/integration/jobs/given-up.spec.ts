import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { AccountsStore } from '../../../src/modules/jobs/reconciliation/accounts.store.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Row, type Team } from '../../support/stage.js';
import { tick } from './ticks.js';

const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };
/** No loop runs: a look happens when a test ticks. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '3000', RECONCILE_GRACE_MS: '400' },
  simulator: { queueMs: 600_000 },
});

/** Two calls of unknown outcome that the list cannot tell apart. TensorPix has made the job of the first one only. */
async function twoUnknown(team: Team, first: object, second: object): Promise<{ made: string; notMade: string }> {
  const same = { video_url: sourceUrl(), ml_models: [1] };
  const answer = stage.hold(team, {}, { kind: 'error_after_commit' });
  const lost = stage.video(team, { ...same, ...first }).then((response) => response);
  await answer.untilHeld();
  // Were the outcome of the first one known to be unknown, the second would wait for it.
  stage.fault(team, 'server_error', { times: 1 });
  const notMade = idOf(await stage.video(team, { ...same, ...second }));
  answer.arrive();
  return { made: idOf(await lost), notMade };
}

async function giveUp(team: Team, id: string): Promise<void> {
  const path = `/v1/tenants/${team.id}/jobs/${id}/resolve`;
  await request(stage.gateway.url).post(path).set(ADMIN).send({ decision: 'fail' }).expect(200);
}

/** Looks until this holds of the row. */
async function lookUntil(id: string, holds: (row: Row) => boolean): Promise<Row> {
  return eventually(async () => {
    await tick(stage, JobsReconciler);
    return stage.row(id);
  }, holds);
}

const isLeftToPerson = (row: Row) => row.status === 'unconfirmed' && row.status_reason === 'outcome_unknown';
const isJudged = (row: Row) => row.status !== 'unconfirmed' || isLeftToPerson(row);

describe('a job that a person has given up although TensorPix has made it', () => {
  it('should not be given to an equal one that asked for something else', async () => {
    const team = await stage.team();
    const { made, notMade } = await twoUnknown(team, { crf: 18 }, { crf: 30 });
    await giveUp(team, made);
    await lookUntil(notMade, isJudged);
    expect(await stage.row(notMade)).toMatchObject({ status: 'unconfirmed', tensorpix_id: null });
    expect(await stage.events(notMade)).toContainEqual(
      expect.objectContaining({ type: 'job.undecided', data: { reason: 'equal_in_the_list' } }),
    );
    expect(stage.creates(team)).toBe(2);
  });

  it('should not be given to one that waits for a person, when another job of the account is looked for', async () => {
    const team = await stage.team();
    const { made, notMade } = await twoUnknown(team, { crf: 18 }, { crf: 30 });
    await lookUntil(notMade, isLeftToPerson);
    await giveUp(team, made);
    stage.fault(team, 'server_error', { times: 1 });
    const another = idOf(await stage.video(team));
    await lookUntil(another, ({ status }) => status === 'submitting');
    expect(isLeftToPerson(await stage.row(notMade))).toBe(true);
    expect(await stage.eventTypes(notMade)).not.toContain('job.adopted');
  });

  it('should be given to one that asked for the same', async () => {
    const team = await stage.team();
    const { made, notMade } = await twoUnknown(team, {}, {});
    await giveUp(team, made);
    const row = await lookUntil(notMade, isJudged);
    expect([row.status, row.tensorpix_id === null]).toEqual(['queued', false]);
    expect(stage.creates(team)).toBe(2);
  });
});

it('should be thought of as long as its job may show up, and not when TensorPix is known not to have it', async () => {
  const team = await stage.team();
  const { made, notMade } = await twoUnknown(team, { crf: 18 }, { crf: 30 });
  await giveUp(team, made);
  await giveUp(team, notMade);
  const [row] = await stage.sql<{ account: string; key: string }>(
    `select account_id as account, encode(observable_key, 'hex') as key from jobs where id = $1`,
    [made],
  );
  const found = async () => {
    const accounts = stage.gateway.app.get(AccountsStore, { strict: false });
    return (await accounts.findGivenUp(row?.account ?? '', [row?.key ?? ''])).map(({ id }) => id).sort();
  };
  expect(await found()).toEqual([made, notMade].sort());
  await stage.sql('update jobs set clean_looks = 2 where id = $1', [notMade]);
  expect(await found()).toEqual([made]);
  await stage.sql(`update jobs set unknown_since = now() - interval '31 days' where id = $1`, [made]);
  expect(await found()).toEqual([]);
});
