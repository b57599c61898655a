import { describe, expect, it, jest } from '@jest/globals';
import { ModuleRef } from '@nestjs/core';
import { JobsModule } from '../../../src/modules/jobs/jobs.module.js';
import { JobsSweeper } from '../../../src/modules/jobs/jobs.sweeper.js';
import { eventually } from '../../support/gateway.js';
import { useStage, type Team } from '../../support/stage.js';

const stage = useStage({ env: { GATEWAY_ROLE: 'api', RETENTION_DAYS: '30' } });

/** Jobs that ended, or were made, so many days ago, each with an event, a webhook in this state and an attempt. */
async function jobs(team: Team, count: number, days: number, webhook: string, status = 'finished'): Promise<string[]> {
  const rows = await stage.sql<{ id: string }>(
    `with job as (
       insert into jobs (id, tenant_id, account_id, kind, status, input, callback_events, created_at, finished_at, tensorpix_id)
       select gen_random_uuid(), t.id, t.account_id, 'video', $4, '{}', '{}', now() - $3 * interval '1 day',
              case when $4 = 'finished' then now() - $3 * interval '1 day' end,
              (select coalesce(max(tensorpix_id), 0) from jobs) + n
         from tenants t, generate_series(1, $2::int) as n where t.id = $1
       returning id, tenant_id
     ), event as (
       insert into job_events (job_id, sequence, tenant_id, type) select id, 1, tenant_id, 'job.submitting' from job
     ), delivery as (
       insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status)
       select gen_random_uuid(), tenant_id, id, id, 2, 'job.finished', 'https://hooks.example.com/', '{}', $5 from job
       returning id
     ), attempt as (
       insert into webhook_attempts (delivery_id, started_at, manual, url, request_headers, total_ms)
       select id, now(), false, 'https://hooks.example.com/', '{}', 1 from delivery
     )
     select id from job`,
    [team.id, count, days, status, webhook],
  );
  return rows.map(({ id }) => id);
}

async function left(ids: string[]): Promise<number> {
  return (await stage.sql('select 1 from jobs where id = any($1)', [ids])).length;
}

/** A process that has just started: it goes through everything at once. */
function sweeperOf(): Promise<JobsSweeper> {
  return stage.gateway.app.select(JobsModule).get(ModuleRef, { strict: true }).create(JobsSweeper);
}

async function sweep(): Promise<void> {
  const sweeper = await sweeperOf();
  while (await sweeper.tick());
}

describe('records of long ago', () => {
  it('should be removed with all that belongs to them, in batches', async () => {
    const team = await stage.team();
    const old = await jobs(team, 450, 31, 'delivered');
    const kept = [await jobs(team, 3, 29, 'delivered'), await jobs(team, 3, 400, 'delivered', 'processing')].flat();
    await sweep();
    expect([await left(old), await left(kept)]).toEqual([0, 6]);
    for (const table of ['job_events', 'webhook_deliveries'])
      expect(await stage.sql(`select 1 from ${table} where job_id = any($1)`, [old])).toEqual([]);
    expect(await stage.sql('select 1 from webhook_attempts')).toHaveLength(6);
  });

  it('should stay while a webhook is undelivered, and not keep younger ones from being removed', async () => {
    const team = await stage.team();
    const undelivered = [...(await jobs(team, 250, 60, 'failing')), ...(await jobs(team, 5, 60, 'pending'))];
    const old = await jobs(team, 5, 40, 'exhausted');
    await sweep();
    expect([await left(undelivered), await left(old)]).toEqual([255, 0]);
  });

  it('should be gone through by a process once an hour', async () => {
    const team = await stage.team();
    const sweeper = await sweeperOf();
    const sweepAll = async () => {
      while (await sweeper.tick());
    };
    await sweepAll();
    const old = await jobs(team, 3, 31, 'delivered');
    const now = performance.now.bind(performance);
    try {
      jest.spyOn(performance, 'now').mockImplementation(() => now() + 3_590_000);
      await sweepAll();
      expect(await left(old)).toBe(3);
      jest.spyOn(performance, 'now').mockImplementation(() => now() + 3_600_000);
      await sweepAll();
      expect(await left(old)).toBe(0);
    } finally {
      jest.restoreAllMocks();
    }
  });

  it('should be removed in smaller batches where a whole one is too much for a statement', async () => {
    const team = await stage.team();
    const old = await jobs(team, 450, 31, 'delivered');
    await stage.sql(`
      create function refuse_many() returns trigger language plpgsql as $$ begin
        if (select count(*) from gone) > 60 then raise exception 'too many at once'; end if;
        return null;
      end $$`);
    await stage.sql(`create trigger refuse_many after delete on jobs referencing old table as gone
                     for each statement execute function refuse_many()`);
    let refused = 0;
    const sweeper = await sweeperOf();
    await eventually(
      async () => {
        await sweeper.tick().catch(() => (refused += 1));
        return left(old);
      },
      (count) => count === 0,
    );
    await stage.sql('drop trigger refuse_many on jobs');
    expect(refused).toBeGreaterThan(0);
  });

  it('should be removed where they are webhooks without a job, unless undelivered', async () => {
    const team = await stage.team();
    await stage.sql(
      `insert into webhook_deliveries (id, tenant_id, queue_id, sequence, event_type, url, body, status, created_at)
       select gen_random_uuid(), $1, gen_random_uuid(), 1, 'webhook.test', 'https://hooks.example.com/', '{}', s, now() - d * interval '1 day'
         from unnest('{delivered,exhausted,pending}'::text[]) as s, unnest('{29,31}'::int[]) as d`,
      [team.id],
    );
    await sweep();
    const rows = await stage.sql<{ status: string }>(
      `select status from webhook_deliveries where tenant_id = $1 and created_at < now() - interval '30 days'`,
      [team.id],
    );
    expect(rows).toEqual([{ status: 'pending' }]);
  });
});
