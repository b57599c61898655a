import { describe, expect, it } from '@jest/globals';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Row, type Team } from '../../support/stage.js';
import { tick } from './ticks.js';

const ASYNC = { prefer: 'respond-async' };
/** As many as are inserted or put off by one statement, and some more. */
const MANY = 400;
const TIMEOUT_MS = 10_000;
const GRACE_MS = 400;
/** No loop runs: these tests tick. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: String(TIMEOUT_MS), RECONCILE_GRACE_MS: String(GRACE_MS) },
  simulator: { queueMs: 600_000 },
});

/** A job of unknown outcome that TensorPix has not made. */
async function unconfirmed(team: Team, fields: object): Promise<string> {
  stage.fault(team, 'server_error', { times: 1 });
  const created = await stage.video(team, fields);
  expect([created.status, created.body.status]).toEqual([202, 'unconfirmed']);
  return idOf(created);
}

/** Requests that TensorPix's list cannot tell from another: they wait. */
async function equals(team: Team, count: number, fields: object): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const some = Array.from({ length: Math.min(50, count - ids.length) }, () => stage.video(team, fields, ASYNC));
    for (const created of await Promise.all(some)) {
      expect([created.status, created.body.status_reason]).toEqual([202, 'outcome_unknown']);
      ids.push(idOf(created));
    }
  }
  return ids;
}

/** Looks until the row is unknown no more, as if the calls of unknown outcome were so long ago that looks count. */
async function judge(id: string): Promise<Row> {
  const accountOf = '(select account_id from jobs where id = $1)';
  await stage.sql(
    `update jobs set unknown_since = unknown_since - $2::int * interval '1 millisecond'
      where account_id = ${accountOf} and unknown_since is not null`,
    [id, TIMEOUT_MS + GRACE_MS],
  );
  return eventually(
    async () => {
      await stage.sql(`update tensorpix_accounts set reconcile_due_at = now() where id = ${accountOf}`, [id]);
      await tick(stage, JobsReconciler);
      return stage.row(id);
    },
    ({ status }) => status !== 'unconfirmed',
  );
}

/** Sends until the gateway finds nothing more that is due. */
async function sendAllDue(team: Team): Promise<void> {
  await eventually(
    async () => {
      await tick(stage, JobsSubmitter);
      const due = `select 1 from jobs where tenant_id = $1 and status = 'submitting' and due_at <= now()`;
      return stage.sql(due, [team.id]);
    },
    (due) => due.length === 0,
  );
}

async function waiting(team: Team): Promise<string[]> {
  const rows = await stage.rowsOf(team);
  return rows.filter(({ status }) => status === 'submitting').map(({ id }) => id);
}

async function expectEachSentOnce(team: Team, retried: string): Promise<void> {
  const rows = await stage.rowsOf(team);
  expect(rows.filter(({ status }) => status !== 'queued')).toEqual([]);
  expect(new Set(rows.map(({ tensorpix_id }) => tensorpix_id)).size).toBe(rows.length);
  expect(rows.filter(({ id, attempt }) => attempt !== (id === retried ? 2 : 1))).toEqual([]);
  // The call of unknown outcome made nothing, and every other call made one job.
  expect(stage.creates(team)).toBe(rows.length + 1);
}

describe('many requests that are equal to one of unknown outcome', () => {
  it('should not keep an unrelated job of the tenant waiting when they look by themselves', async () => {
    const team = await stage.team();
    const same = { video_url: sourceUrl(), ml_models: [1] };
    await unconfirmed(team, same);
    const ids = await equals(team, MANY, same);
    // As they are when their time is up: all are due, and before anything that comes now.
    await stage.sql(`update jobs set due_at = now() - interval '1 second' where id = any($1)`, [ids]);
    const unrelated = idOf(await stage.video(team, {}, ASYNC));

    let ticks = 0;
    while ((await stage.row(unrelated)).status === 'submitting' && ticks < 5) {
      await tick(stage, JobsSubmitter);
      ticks += 1;
    }
    expect(await stage.row(unrelated)).toMatchObject({ status: 'queued', attempt: 1 });
    expect(stage.creates(team)).toBe(2);
    // None of them was sent, forgotten, or written down as parked anew.
    const rows = (await stage.rowsOf(team)).filter(({ id }) => ids.includes(id));
    const state = ({ status, status_reason, attempt }: Row) => [status, status_reason, attempt].join();
    expect(new Set(rows.map(state))).toEqual(new Set(['submitting,outcome_unknown,0']));
    expect(rows.filter(({ due_at }) => due_at === null)).toEqual([]);
    expect(rows.filter(({ sequence }) => sequence !== 1)).toEqual([]);
  });

  it('should all be sent at last once it is known, each once', async () => {
    const team = await stage.team();
    const same = { video_url: sourceUrl(), ml_models: [1] };
    const unknown = await unconfirmed(team, same);
    await equals(team, 30, same);
    expect((await judge(unknown)).status).toBe('submitting');
    await sendAllDue(team);
    await expectEachSentOnce(team, unknown);
  });

  it('should be woken by its verdict, but for those that another session holds, which wake by themselves', async () => {
    const team = await stage.team();
    const same = { video_url: sourceUrl(), ml_models: [1] };
    const unknown = await unconfirmed(team, same);
    const ids = await equals(team, 12, same);
    const held = ids.slice(3, 6);
    const session = await stage.pool.connect();
    try {
      await session.query('begin');
      await session.query('select 1 from jobs where id = any($1) for update', [held]);
      expect((await judge(unknown)).status).toBe('submitting');
      await eventually(
        async () => {
          await tick(stage, JobsSubmitter);
          return waiting(team);
        },
        (left) => left.length === held.length,
      );
    } finally {
      session.release(true);
    }
    expect((await waiting(team)).sort()).toEqual([...held].sort());
    for (const id of held) await stage.makeDue(id);
    await sendAllDue(team);
    await expectEachSentOnce(team, unknown);
  });

  it('should wait again when the outcome of one of them becomes unknown, and all be sent at last', async () => {
    const team = await stage.team();
    const same = { video_url: sourceUrl(), ml_models: [1] };
    const first = await unconfirmed(team, same);
    await equals(team, 20, same);
    await judge(first);
    stage.fault(team, 'error_after_commit', { times: 2 });
    for (let rounds = 0; (await waiting(team)).length > 0; rounds += 1) {
      expect(rounds).toBeLessThan(5);
      await sendAllDue(team);
      const unknown = (await stage.rowsOf(team)).filter(({ status }) => status === 'unconfirmed');
      for (const { id } of unknown) await judge(id);
      await stage.sql(
        `update jobs set due_at = now() - interval '1 second' where tenant_id = $1 and status = 'submitting'`,
        [team.id],
      );
    }
    await expectEachSentOnce(team, first);
  });
});
