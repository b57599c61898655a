import { Prisma } from '../../generated/prisma/client.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { endOf, onlyProgressFollows, OPEN, supersederOf } from './deliveries.sql.js';
import { TEST_WEBHOOK_TYPE } from './webhook-types.js';

/*
 * Parts of the statement that writes what attempts came to. They refer to its part `input`, a row for each outcome, and to those
 * before them. Every statement locks queues before it touches their deliveries, so that no two wait for each other in a circle.
 */

/** An endpoint that fails for so long is disabled (contract, section 7: nobody reads what it sends). */
export const ENDPOINT_PATIENCE = Prisma.sql`interval '5 days'`;
/** Unless nothing was tried for so long, longer than any step of the default schedule: then its time begins anew. */
export const ENDPOINT_SILENCE = Prisma.sql`interval '2 days'`;
/** How exactly it is known when an endpoint failed last: one with many failures is not written at each. */
const FAILED_AT_STEP = Prisma.sql`interval '1 hour'`;
/** Whether the outcome `i` keeps its queue waiting: for a retry, or for as long with the progress that takes its place. */
const KEEPS_BACK = Prisma.sql`(i.final = 'failing' or (i.final = 'superseded' and i.by_progress))`;
/** Whether the queue waits then: a manual attempt may have got its head through with it. */
const WAITS = Prisma.sql`
             ${KEEPS_BACK} and not exists (
               select 1 from decided other where other.delivery_id = i.delivery_id and other.final = 'delivered')`;

/**
 * `stale`: the endpoint is another receiver by now, was enabled anew or deleted. What an attempt at the one before came to says
 * nothing of the one that there is, and if it did not get through it decides nothing. `changed`: then a scheduled one is made
 * again at once.
 */
const JUDGED = Prisma.sql`judged as materialized (
    select i.*, e.stale, e.stale and not i.manual and i.status <> 'delivered' as changed,
           case when e.stale and i.status <> 'delivered' then 'failing' else i.status end as verdict
      from input i
     cross join lateral (
           select i.endpoint_id is not null and not i.unsent and not exists (
                    select 1 from webhook_endpoints e
                     where e.id = i.endpoint_id and e.revision = i.endpoint_revision and e.deleted_at is null
                    offset 0) as stale) e
  )`;

/**
 * `final`: what the webhook is after the attempt; one that was delivered stays so, and one that failed may have been superseded.
 * One that a 410 to a person's attempt has ended meanwhile stays so too, and a test is made once.
 * `ended`: its job has ended, as far as this statement sees. `by_progress`: progress takes its place, and nothing else
 * comes after it.
 */
const DECIDED = Prisma.sql`decided as materialized (
    select i.*, d.queue_id as home_id, d.sequence, d.status in ${OPEN} as was_open,
           -- As far as this statement sees: what is added later, it does not know.
           case when i.verdict = 'failing' and not i.manual then (
             select q.version from webhook_queues q where q.id = i.queue_id) end as seen_version,
           i.retry_at_end_ms is not null and exists (${endOf()}) as ended,
           i.verdict = 'failing' and not i.manual and not i.changed and d.event_type = 'job.progress'
             and ${onlyProgressFollows()} as by_progress,
           case when d.status = 'delivered' then 'delivered'
                when d.event_type = ${TEST_WEBHOOK_TYPE} then i.status
                when d.status = 'exhausted' and i.verdict = 'failing' and not i.manual then 'exhausted'
                when i.verdict = 'failing' and not i.manual and exists (${supersederOf()}) then 'superseded'
                else i.verdict end as final
      from judged i
      join webhook_deliveries d on d.id = any(array[i.delivery_id])
  )`;

/**
 * The queues, by their ids alone: Postgres drops a row from "for update" over a join with a "union all" when it was changed
 * while its lock was waited for, and the outcome would be lost.
 */
const LOCKED = Prisma.sql`locked as materialized (
    select q.id from webhook_queues q
     where q.id = any(array(select queue_id from decided union select home_id from decided where manual))
     order by q.id
       for update
  )`;

/**
 * Queues that are gone with their last webhook: none is open, and none was added since the claim, which the version tells under
 * the lock. The queue of a manual attempt goes in any case.
 */
const FINISHED = Prisma.sql`finished as (
    delete from webhook_queues q using decided i
     where (select count(*) from locked) > 0 and q.id = any(array[i.queue_id]) and q.lease_token = i.lease
       and (i.manual
            or (i.final <> 'failing' and q.version = i.version
                and not exists (select 1 from webhook_deliveries other
                                 where other.queue_id = q.id and other.status in ${OPEN} and other.id <> i.delivery_id)))
    returning i.*, i.manual and i.final = 'delivered' as more
  )`;

/** The others are due again: at once, or when the retry is. */
const KEPT = Prisma.sql`kept as (
    update webhook_queues q
       set lease_token = null, failures = case when ${WAITS} then q.failures + (not i.hurried)::int else 0 end,
           hurried = i.changed and ${WAITS},
           due_at = case when not i.changed and ${WAITS}
                         then now() + case when i.ended then i.retry_at_end_ms else i.retry_ms end * interval '1 millisecond'
                         else ${DUE_NOW} end,
           due_at_end = case when not i.changed and ${WAITS} then now() + i.retry_at_end_ms * interval '1 millisecond' end
      from decided i
     -- Counted, so that what is finished is gone before.
     where (select count(*) from finished) >= 0 and q.id = any(array[i.queue_id]) and q.lease_token = i.lease
       and (not ${KEEPS_BACK} or q.version = i.seen_version)
    returning i.*, q.due_at <= now() as more
  )`;

/** The outcomes whose claims still stood: they count. `more`: another webhook of the queue is due now. */
const HELD = Prisma.sql`held as materialized (
    select * from finished union all select * from kept
  )`;

/**
 * A head that a person got through, or that was refused for good then, need not be waited for. One that is under way learns by the version that its outcome is to
 * be judged anew. By the key alone, so that the row counts as it is under its lock.
 */
const HURRIED = Prisma.sql`hurried as (
    update webhook_queues q
       set version = q.version + 1,
           due_at = case when q.lease_token is null and q.due_at > now() then ${DUE_NOW} else q.due_at end,
           due_at_end = case when q.lease_token is not null then q.due_at_end end,
           failures = case when q.lease_token is null then 0 else q.failures end
      from held i
     where i.manual and i.was_open and i.final in ('delivered', 'exhausted') and q.id = any(array[i.home_id])
       and not exists (select 1 from webhook_deliveries head
                        where head.queue_id = i.home_id and head.status in ${OPEN} and head.sequence < i.sequence offset 0)
  )`;

/** A scheduled attempt and manual ones of the same delivery may come in together: one that got through decides. */
const COMBINED = Prisma.sql`combined as (
    select delivery_id, bool_or(final = 'delivered') as delivered, max(final) filter (where not manual) as scheduled,
           max(final) filter (where manual and final = 'exhausted') as given_up, max(error) as error,
           count(*) filter (where not manual and not unsent and not hurried)::int as scheduled_attempts,
           count(*) filter (where not unsent)::int as all_attempts
      from held
     group by delivery_id
  )`;

/** What a manual attempt that fails leaves as it is: the schedule, and all but an end. */
const WRITTEN = Prisma.sql`written as (
    update webhook_deliveries d
       set status = case when c.delivered or d.status = 'delivered' then 'delivered'
                         when d.status = 'superseded' then 'superseded'
                         when d.status = 'exhausted' and c.scheduled = 'failing' then 'exhausted'
                         else coalesce(c.scheduled, c.given_up, d.status) end,
           attempts = d.attempts + case d.event_type when ${TEST_WEBHOOK_TYPE} then c.all_attempts else c.scheduled_attempts end,
           last_error = case when not c.delivered then c.error end, updated_at = now()
      from combined c
     where d.id = any(array[c.delivery_id])
  )`;

/**
 * Since when an endpoint takes nothing; written when that changes, and now and then. Of one whose row somebody holds it is written
 * another time: the outcomes of all others do not wait for that.
 */
const HEALTH = Prisma.sql`sick_or_well as materialized (
    select e.id, s.succeeded
      from (select endpoint_id, bool_or(status = 'delivered') as succeeded from judged
             where endpoint_id is not null and not stale group by endpoint_id) s
      join webhook_endpoints e on e.id = any(array[s.endpoint_id])
     where (e.failing_since is null) <> s.succeeded
        or (not s.succeeded and coalesce(e.failed_at < now() - ${FAILED_AT_STEP}, true))
       for no key update of e skip locked
  ), health as (
    update webhook_endpoints e
       set failing_since = case when s.succeeded then null
                                when e.failed_at > now() - ${ENDPOINT_SILENCE} then coalesce(e.failing_since, now())
                                else now() end,
           failed_at = case when not s.succeeded then now() end
      from sick_or_well s
     where e.id = any(array[s.id])
  )`;

/** The log of attempts, whatever has become of the claim. Only a repeated statement asks whether the one before has written it. */
const LOGGED = Prisma.sql`attempt as (
    insert into webhook_attempts (
      delivery_id, started_at, manual, url, request_headers, response_status, error_class, error, dns_ms, connect_ms,
      tls_ms, first_byte_ms, total_ms, response_excerpt)
    select i.delivery_id, a.started_at, i.manual, a.url, a.request_headers, a.response_status, a.error_class, a.error,
           a.dns_ms, a.connect_ms, a.tls_ms, a.first_byte_ms, a.total_ms, a.response_excerpt
      from decided i
     cross join lateral json_to_record(i.attempt) as a(
           started_at timestamptz, url text, request_headers jsonb, response_status integer, error_class text, error text,
           dns_ms real, connect_ms real, tls_ms real, first_byte_ms real, total_ms real, response_excerpt text)
     where i.attempt is not null
       and not (i.repeated and exists (
             select 1 from webhook_attempts logged
              where logged.delivery_id = i.delivery_id and logged.started_at = a.started_at and logged.manual = i.manual
             offset 0))
  )`;

/** All of them, in their order. */
export const OUTCOME_PARTS = Prisma.join(
  [JUDGED, DECIDED, LOCKED, FINISHED, KEPT, HELD, HURRIED, COMBINED, WRITTEN, HEALTH, LOGGED],
  ', ',
);
