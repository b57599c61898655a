import type pg from 'pg';

const A_STATEMENT = 100_000;

/** Ids in the order of time, as the gateway makes them (RFC 9562, version 7), but for what makes them unpredictable. */
const ADD_ENDED = `
  with given as materialized (
    select n, now() - (1000000000 - n) * interval '1 second' as at from generate_series($1::int, $2::int) as n
  ), job as (
    insert into jobs (id, tenant_id, account_id, kind, status, tensorpix_id, input, callback_events, created_at, finished_at)
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000' || lpad(to_hex(n), 16, '8'))::uuid, t.id,
           t.account_id, 'video', 'finished', 1000000000 + n, '{"video_url": "https://media.example.com/in.mp4"}', '{}', at, at
      from tenants t, given
    returning id, tenant_id
  ), event as (
    insert into job_events (job_id, sequence, tenant_id, type) select id, 1, tenant_id, 'job.submitting' from job
  )
  insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status)
  select id, tenant_id, id, id, 1, 'job.finished', 'https://hooks.example.com/', '{}', 'delivered' from job`;

/** Adds finished jobs, each with an event and a delivered webhook, to the one tenant: those beyond `from`, up to `to`. */
export async function addEndedJobs(pool: pg.Pool, from: number, to: number): Promise<void> {
  for (let last = from; last < to; last += A_STATEMENT)
    await pool.query(ADD_ENDED, [last + 1, Math.min(to, last + A_STATEMENT)]);
}
