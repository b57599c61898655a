import { describe, expect, it } from '@jest/globals';
import type { Intent } from '../../../src/modules/jobs/job-intent.js';
import { JobIntentsStore } from '../../../src/modules/jobs/job-intents.store.js';
import type { JobWithTime } from '../../../src/modules/jobs/job-rows.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { useStage } from '../../support/stage.js';
import { intentOf } from './intents.js';

/** No loop runs. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

/** As the statement is repeated whose commit was not heard of: the connection broke. */
async function insert(intent: Intent): Promise<JobWithTime> {
  const inserted = await stage.gateway.app.get(JobIntentsStore, { strict: false }).insert(intent);
  if (typeof inserted === 'string') throw new Error(inserted);
  return inserted;
}

/** What decides whether its caller makes the call. */
function mayCall({ job }: JobWithTime, intent: Intent): boolean {
  return job.leaseToken === intent.lease?.token;
}

async function holdsLease(intent: Intent): Promise<boolean> {
  const { lease_token } = await stage.row(intent.id);
  return lease_token === intent.lease?.token;
}

describe('an intent that is written twice because nobody heard of its commit (invariant 8)', () => {
  it('should hold its claim both times, and be one row with one key', async () => {
    const intent = await intentOf(stage, await stage.team());
    expect(mayCall(await insert(intent), intent)).toBe(true);
    expect(mayCall(await insert(intent), intent)).toBe(true);
    expect(await holdsLease(intent)).toBe(true);
    expect(await stage.eventTypes(intent.id)).toEqual(['job.submitting']);
    expect(await stage.sql('select * from idempotency_keys where job_id = $1', [intent.id])).toHaveLength(1);
  });

  it('should not claim a row that it has parked, although the rest of the token has ended since', async () => {
    const team = await stage.team();
    const intent = await intentOf(stage, team);
    await stage.sql(`update tenant_paces set rest_until = now() + interval '1 minute' where tenant_id = $1`, [team.id]);
    expect(mayCall(await insert(intent), intent)).toBe(false);
    await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
    const again = await insert(intent);
    expect(await holdsLease(intent)).toBe(false);
    expect(mayCall(again, intent)).toBe(false);
  });

  it('should not claim a row that the submitter has sent meanwhile', async () => {
    const team = await stage.team();
    const intent = await intentOf(stage, team);
    await stage.sql(`update tenant_paces set rest_until = now() + interval '1 minute' where tenant_id = $1`, [team.id]);
    await insert(intent);
    await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
    await stage.makeDue(intent.id);
    const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
    await submitter.tick();
    await submitter.drain();
    expect((await stage.row(intent.id)).status).toBe('queued');
    expect(stage.creates(team)).toBe(1);
    const again = await insert(intent);
    expect(mayCall(again, intent)).toBe(false);
  });

  it('should not claim a row that another claim holds', async () => {
    const intent = await intentOf(stage, await stage.team());
    await insert(intent);
    await stage.sql('update jobs set lease_token = gen_random_uuid() where id = $1', [intent.id]);
    expect(mayCall(await insert(intent), intent)).toBe(false);
  });
});
