import { describe, expect, it } from '@jest/globals';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { AccountsStore } from '../../../src/modules/jobs/reconciliation/accounts.store.js';
import { eventually } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';
import { tick } from './ticks.js';

/** No loop runs: a look happens when a test ticks. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '1000', RECONCILE_GRACE_MS: '400' } });
/** More than a look asks for. */
const MANY = 1_100;

/** Rows of unknown outcome that the list cannot tell from each other, and that TensorPix has no job of. */
async function equals(team: Team, count: number): Promise<string> {
  stage.fault(team, 'reset', { times: 1 });
  const id = idOf(await stage.video(team));
  await stage.untilRow(id, ({ status }) => status === 'unconfirmed');
  await stage.sql(
    `with copy as (
       insert into jobs
       select (jsonb_populate_record(j, jsonb_build_object('id', gen_random_uuid()))).*
         from jobs j, generate_series(2, $2::int) where j.id = $1
       returning id, tenant_id, sequence)
     insert into job_events (job_id, sequence, tenant_id, type)
     select c.id, s, c.tenant_id, 'job.copied' from copy c, generate_series(1, c.sequence) s`,
    [id, count],
  );
  return id;
}

async function accountOf(team: Team): Promise<string> {
  const [row] = await stage.sql<{ id: string }>('select account_id as id from tenants where id = $1', [team.id]);
  return row?.id ?? '';
}

describe('more equal jobs of unknown outcome than a look asks for', () => {
  it('should be asked for together, and the keys that follow at a later look', async () => {
    const team = await stage.team();
    const many = await equals(team, MANY);
    const single = await equals(team, 1);
    const accounts = stage.gateway.app.get(AccountsStore, { strict: false });
    const account = await accountOf(team);
    const asked = await accounts.findUnknown(account);
    expect(asked.unknown).toHaveLength(MANY);
    expect(asked.unknown.map(({ job }) => job.id)).toContain(many);

    await stage.sql(`update jobs set status_reason = 'outcome_unknown' where tenant_id = $1 and id <> $2`, [
      team.id,
      single,
    ]);
    const others = await accounts.findUnknown(account);
    expect(others.unknown[0]?.job.id).toBe(single);
    expect(others.unknown).toHaveLength(MANY + 1);
    await stage.sql(`update tensorpix_accounts set reconcile_due_at = null where id = $1`, [account]);
  });

  it('should be judged, all of them', async () => {
    const team = await stage.team();
    await equals(team, MANY);
    const account = await accountOf(team);
    await eventually(
      async () => {
        await stage.sql(`update tensorpix_accounts set reconcile_due_at = now() where id = $1`, [account]);
        await tick(stage, JobsReconciler);
        return stage.sql<{ id: string }>(
          'select id from jobs where tenant_id = $1 and status = $2 and clean_looks = 0',
          [team.id, 'unconfirmed'],
        );
      },
      (left) => left.length === 0,
    );
    await stage.sql(`update tensorpix_accounts set reconcile_due_at = null where id = $1`, [account]);
  });
});
