import { Prisma } from '../../generated/prisma/client.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { callbackOrigin } from '../../common/outbound/callback-url.js';
import type { NewWebhook } from './webhook-types.js';

/** How often a webhook must have failed for the last one of its job to take its place (contract, section 7). */
export const FAILURES_UNTIL_SUPERSEDED = 5;

/** A webhook that is still to be delivered. */
export const OPEN = Prisma.sql`('pending', 'failing')`;

/**
 * What a queue gets, as the version that is proposed for its row says it: the conflict with the row that stands knows nothing else
 * of it. Whatever is proposed, that row only counts on. `HEAD_SUPERSEDED`: what it waits for is pointless now, and the next one
 * need not wait; but progress in the place of progress takes its time, or a receiver that is down would be called with each.
 * `JOB_ENDS`: a head that has failed too often by now, under the lock, is tried once more instead of later, and one that was
 * refused sooner.
 */
const [ANOTHER, HEAD_SUPERSEDED, JOB_ENDS] = [Prisma.sql`1`, Prisma.sql`2`, Prisma.sql`3`];

/** When a queue that stands is due once it has got one more. What is under way or kept for its endpoint stays so. */
function dueWithOneMore(): Prisma.Sql {
  return Prisma.sql`case when webhook_queues.lease_token is not null or webhook_queues.due_at is null then webhook_queues.due_at
                         when excluded.version = ${HEAD_SUPERSEDED}
                              or (excluded.version = ${JOB_ENDS} and webhook_queues.failures >= ${FAILURES_UNTIL_SUPERSEDED}::int)
                         then ${DUE_NOW}
                         when excluded.version = ${JOB_ENDS} then least(webhook_queues.due_at, webhook_queues.due_at_end)
                         else webhook_queues.due_at end`;
}

/**
 * Parts of the statement that writes a change of jobs; they refer to its part `changed (id)`, the jobs that really changed.
 * Each fact goes to the job's own `callback_url` and to the tenant's standing endpoints that ask for its type. The part
 * `queued` has a row for each queue that got something.
 *
 * A queue's row is locked before its deliveries are touched, here and when an outcome is written, so that the two never wait
 * for each other in a circle.
 */
export function queueWebhooks(webhooks: NewWebhook[]): Prisma.Sql {
  const rows = webhooks.map(({ id, tenantId, jobId, sequence, type, url, body, ends }) => ({
    id,
    tenant_id: tenantId,
    job_id: jobId,
    sequence,
    event_type: type,
    url,
    origin: url === null ? null : callbackOrigin(url),
    body,
    ends,
  }));
  return Prisma.sql`webhook as (
    select w.* from json_to_recordset(${JSON.stringify(rows)}::json) as w(
        id uuid, tenant_id uuid, job_id uuid, sequence integer, event_type text, url text, origin text, body text, ends boolean)
      join changed c on c.id = w.job_id
  ), receiver as (
    select w.*, null::uuid as endpoint_id, w.job_id as queue_id, true as takes from webhook w where w.url is not null
     union all
    -- The ids of both rows follow from what they belong to; that of the delivery keeps its time.
    select (left(w.id::text, 24) || left(encode(sha256(uuid_send(w.id) || uuid_send(e.id)), 'hex'), 12))::uuid,
           w.tenant_id, w.job_id, w.sequence, w.event_type, e.url, e.origin, w.body, w.ends, e.id,
           left(encode(sha256(uuid_send(w.job_id) || uuid_send(e.id)), 'hex'), 32)::uuid, e.status = 'enabled'
      from webhook w
      join webhook_endpoints e on e.tenant_id = w.tenant_id and e.deleted_at is null and w.event_type = any(e.events)
  ), target as materialized (
    select r.*, r.event_type <> 'job.progress'
                and coalesce((select ${isPointless()} from webhook_deliveries old
                               where old.queue_id = r.queue_id and old.status in ${OPEN}
                               order by old.sequence limit 1), false) as frees
      from receiver r
  ), queued as (
    insert into webhook_queues (id, tenant_id, endpoint_id, origin, due_at, version)
    select t.queue_id, t.tenant_id, t.endpoint_id, t.origin, case when t.takes then ${DUE_NOW} end,
           case when bool_or(t.frees) then ${HEAD_SUPERSEDED} when bool_or(t.ends) then ${JOB_ENDS} else ${ANOTHER} end
      from target t
     group by t.queue_id, t.tenant_id, t.endpoint_id, t.origin, t.takes
     order by t.queue_id
        on conflict (id) do update
       set version = webhook_queues.version + 1, origin = excluded.origin,
           failures = case when excluded.version = ${HEAD_SUPERSEDED} then 0 else webhook_queues.failures end,
           due_at_end = case when excluded.version = ${HEAD_SUPERSEDED} then null else webhook_queues.due_at_end end,
           due_at = ${dueWithOneMore()}
    returning id
  ), superseded as (
    update webhook_deliveries old
       set status = 'superseded', updated_at = now()
      from target r
     -- Counted, so that all queues are locked before the first delivery.
     where (select count(*) from queued) > 0 and old.queue_id = r.queue_id and ${isPointless()}
  ), delivery as (
    insert into webhook_deliveries (id, tenant_id, job_id, endpoint_id, queue_id, sequence, event_type, url, body)
    select t.id, t.tenant_id, t.job_id, t.endpoint_id, t.queue_id, t.sequence, t.event_type, t.url, t.body
      from target t
  )`;
}

/**
 * Whether a tenant has a standing endpoint that asks for any of these types, an expression of a `text[]`: what
 * `queueWebhooks` would write a delivery for. The offset keeps it a look-up by tenant, whatever it stands in.
 */
export function hasStandingReceiver(tenantId: Prisma.Sql, types: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`exists (
    select 1 from webhook_endpoints e
     where e.tenant_id = ${tenantId} and e.deleted_at is null and e.events && ${types}
    offset 0)`;
}

/**
 * Whether the webhook `r` makes `webhook_deliveries old` pointless: progress that was not delivered yet, and, when the job
 * ends, whatever has failed five times. One that is being sent at this moment counts as delivered if that succeeds.
 */
function isPointless(): Prisma.Sql {
  return Prisma.sql`old.status in ${OPEN}
       and (old.event_type = 'job.progress' or (r.ends and old.attempts >= ${FAILURES_UNTIL_SUPERSEDED}::int))`;
}

const ENDS = Prisma.sql`('job.finished', 'job.failed', 'job.canceled')`;

/** A webhook of the same job to the same receiver that comes after `webhook_deliveries d`, with more conditions to follow. */
const LATER = Prisma.sql`
    select 1 from webhook_deliveries later
     where later.queue_id = d.queue_id and later.sequence > d.sequence and later.job_id = d.job_id`;

/** The webhook that ends the job of `webhook_deliveries d`, for the same receiver. */
export function endOf(): Prisma.Sql {
  return Prisma.sql`${LATER} and later.event_type in ${ENDS}`;
}

/** Whether progress is still to be delivered after `webhook_deliveries d`, for the same receiver, and nothing else came after it. */
export function onlyProgressFollows(): Prisma.Sql {
  return Prisma.sql`exists (${LATER} and later.status in ${OPEN}) and not exists (${LATER} and later.event_type <> 'job.progress')`;
}

/** What makes `webhook_deliveries d`, which has just failed with the outcome `i`, pointless: it was under way when that was written. */
export function supersederOf(): Prisma.Sql {
  return Prisma.sql`${LATER}
       and (d.event_type = 'job.progress'
            or (not i.changed and d.attempts + (not i.hurried)::int >= ${FAILURES_UNTIL_SUPERSEDED}::int
                and later.event_type in ${ENDS}))`;
}
