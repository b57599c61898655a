import type { Stage } from '../../support/stage.js';

export const HISTORY = 100_000;
export const ACTIVE = 5_000;
export const CALLBACK = 'https://client.example.com/webhooks';

/** Jobs of a tenant, one a minute into the past. */
export async function insertJobs(stage: Stage, id: string, status: string, from: number, to: number): Promise<void> {
  await stage.sql(
    `insert into jobs (id, tenant_id, account_id, kind, status, tensorpix_id, input, callback_url, callback_events, progress, reported_progress,
                       created_at, submitted_at, finished_at)
     select gen_random_uuid(), t.id, t.account_id, 'video', $2, n, '{"video_url": "https://media.example.com/in.mp4"}', null, '{}', 0.5, 0.5,
            now() - n * interval '1 minute', now(), case when $2 = 'finished' then now() - n * interval '1 minute' end
       from tenants t, generate_series($3::int, $4::int) as n
      where t.id = $1`,
    [id, status, from, to],
  );
}

/** What a tenant has behind it, and one that has no jobs any more. */
export async function insertHistory(stage: Stage, tenantId: string, idleId: string): Promise<void> {
  await insertJobs(stage, tenantId, 'finished', 1, HISTORY);
  await insertJobs(stage, idleId, 'finished', 1, HISTORY / 4);
  await stage.sql(
    `insert into job_events (job_id, sequence, tenant_id, type)
     select j.id, e.n, j.tenant_id, e.type from jobs j, (values (1, 'job.submitting'), (2, 'job.queued'), (3, 'job.finished')) as e(n, type)
      where j.status = 'finished'`,
  );
  await stage.sql(
    `insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status, created_at)
     select gen_random_uuid(), j.tenant_id, j.id, j.id, 3, 'job.finished', $1, '{}', 'delivered', j.finished_at
       from jobs j where j.status = 'finished' and j.tenant_id = $2`,
    [CALLBACK, tenantId],
  );
}

/**
 * The webhooks of the history get through, as they do: each was to be delivered before, which leaves a dead entry in every index of
 * what is not, until the next VACUUM.
 */
export async function deliverHistory(stage: Stage): Promise<void> {
  for (const [before, after] of [
    ['delivered', 'pending'],
    ['pending', 'delivered'],
  ])
    await stage.sql('update webhook_deliveries set status = $2 where status = $1', [before, after]);
}

/** What runs at TensorPix, beside one job that does already, what waits to be sent, and webhooks that failed. */
export async function insertActive(stage: Stage, tenantId: string): Promise<void> {
  await insertJobs(stage, tenantId, 'processing', HISTORY + 2, HISTORY + ACTIVE);
  await stage.sql(
    `insert into jobs (id, tenant_id, account_id, kind, status, status_reason, input, callback_events, observable_key, due_at)
     select gen_random_uuid(), t.id, t.account_id, 'video', 'submitting', 'upstream_unavailable', '{}', '{}',
            sha256(uuid_send(gen_random_uuid())), now() - interval '1 minute'
       from tenants t, generate_series(1, $2::int) where t.id = $1`,
    [tenantId, ACTIVE],
  );
  await stage.sql(
    `with job as (select * from jobs where status = 'processing'),
          queue as (insert into webhook_queues (id, tenant_id, origin, due_at)
                    select j.id, j.tenant_id, 'https://client.example.com', now() - interval '1 minute' from job j)
     insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status)
     select gen_random_uuid(), j.tenant_id, j.id, j.id, 2, 'job.queued', $1, '{}', 'failing' from job j`,
    [CALLBACK],
  );
}
