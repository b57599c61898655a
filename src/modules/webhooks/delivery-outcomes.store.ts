import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { isPassing } from '../../common/prisma/database-errors.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { retryWhileAway } from '../../common/prisma/retry-while-away.js';
import type { AttemptRecord } from './attempt-record.js';
import { endOf, OPEN, supersederOf } from './deliveries.sql.js';
import type { ClaimedDelivery } from './delivery-claims.store.js';
import { TEST_WEBHOOK_TYPE } from './webhook-types.js';

/** What an attempt came to. */
export interface DeliveryOutcome {
  delivery: ClaimedDelivery;
  leaseToken: string;
  /** Of a manual attempt, `failing` leaves the delivery as it was. */
  status: 'delivered' | 'failing' | 'exhausted';
  /** null unless it is tried again */
  retryInMs: number | null;
  /** The same once the job has ended, where that is sooner. */
  retryAtEndInMs?: number;
  error: string | null;
  attempt: AttemptRecord | null;
  /** Nothing was sent: that is no attempt. */
  unsent?: boolean;
}

export interface Marked {
  /** False when the claim was gone: whoever has it now decides. */
  written: boolean;
  /** The endpoint has taken nothing for so long that it is to be disabled. */
  endpointFailed: boolean;
  /** Another webhook of the queue is due now. */
  more: boolean;
}

interface MarkedRow {
  queueId: string;
  leaseToken: string;
  endpointFailed: boolean;
  more: boolean;
}

const OUTCOMES_A_STATEMENT = 500;
/** Within the margin of the lease: a claim that is over writes nothing. */
const PATIENCE_MS = 8_000;
/** An endpoint that fails for so long is disabled (contract, section 7: nobody reads what it sends). */
const ENDPOINT_PATIENCE = Prisma.sql`interval '5 days'`;
/** Unless nothing was tried for so long, longer than any step of the default schedule: then its time begins anew. */
const ENDPOINT_SILENCE = Prisma.sql`interval '2 days'`;
/** How exactly it is known when an endpoint failed last: one with many failures is not written at each. */
const FAILED_AT_STEP = Prisma.sql`interval '1 hour'`;
/** Whether the head of a queue waits for a retry after the outcome `i`: a manual attempt may have got it through with it. */
const WAITS = Prisma.sql`
                 i.final = 'failing' and not exists (
                   select 1 from decided other where other.delivery_id = i.delivery_id and other.final = 'delivered')`;
const UNSTORABLE = 'the reason could not be stored';

/** Writes what attempts came to. */
@Injectable()
export class DeliveryOutcomesStore {
  private readonly outcomes = new MicroBatcher((items: DeliveryOutcome[]) => this.markMany(items), {
    maxItems: OUTCOMES_A_STATEMENT,
    concurrency: 1,
  });

  constructor(private readonly prisma: PrismaService) {}

  /** Writes what an attempt came to, with its record. Whatever is wrong with its texts does not keep it from being written. */
  async mark(outcome: DeliveryOutcome): Promise<Marked> {
    try {
      const marked = await this.add(outcome);
      if (marked.written || outcome.status !== 'failing') return marked;
      // The claim is gone; or a webhook that may make this one pointless came while the statement waited for its lock, and
      // the next statement sees it.
      return await this.add({ ...outcome, attempt: null });
    } catch (error) {
      const shorter = withLessText(outcome);
      if (shorter === null || isPassing(error)) throw error;
      return this.mark(shorter);
    }
  }

  private add(outcome: DeliveryOutcome): Promise<Marked> {
    return retryWhileAway(PATIENCE_MS, () => this.outcomes.add(outcome));
  }

  /**
   * A queue is gone with its last webhook: none is open, and none was added since the claim (its version tells, under the
   * lock of the row). Else it is due again, at once or when the retry is.
   *
   * The queues are locked by their ids alone: Postgres drops a row from "for update" over a join with a "union all" when it
   * was changed while its lock was waited for, and the outcome would be lost.
   */
  private async markMany(outcomes: DeliveryOutcome[]): Promise<Marked[]> {
    const rows = await this.prisma.$rows<MarkedRow>`
      with input as (
        select * from json_to_recordset(${JSON.stringify(outcomes.map(toRow))}::json) as i(
          queue_id uuid, version integer, lease uuid, delivery_id uuid, manual boolean, endpoint_id uuid, status text,
          retry_ms float8, retry_at_end_ms float8, error text, unsent boolean, attempt json)
      ), decided as materialized (
        select i.*, d.queue_id as home_id, d.sequence, d.status in ${OPEN} as was_open,
               -- As far as this statement sees: what is added later, it does not know.
               case when i.status = 'failing' and not i.manual then (
                 select q.version from webhook_queues q where q.id = i.queue_id) end as seen_version,
               i.retry_at_end_ms is not null and exists (${endOf()}) as ended,
               case when d.status = 'delivered' then 'delivered'
                    when i.status = 'failing' and not i.manual and exists (${supersederOf()}) then 'superseded'
                    else i.status end as final
          from input i
          join webhook_deliveries d on d.id = any(array[i.delivery_id])
      ), locked as materialized (
        select q.id from webhook_queues q
         where q.id = any(array(select queue_id from decided union select home_id from decided where manual))
         order by q.id
           for update
      ), finished as (
        delete from webhook_queues q using decided i
         where (select count(*) from locked) > 0 and q.id = any(array[i.queue_id]) and q.lease_token = i.lease
           and (i.manual
                or (i.final <> 'failing' and q.version = i.version
                    and not exists (select 1 from webhook_deliveries other
                                     where other.queue_id = q.id and other.status in ${OPEN} and other.id <> i.delivery_id)))
        returning i.*, i.manual and i.final = 'delivered' as more
      ), kept as (
        update webhook_queues q
           set lease_token = null, failures = case when ${WAITS} then q.failures + 1 else 0 end,
               due_at = case when ${WAITS}
                             then now() + case when i.ended then i.retry_at_end_ms else i.retry_ms end * interval '1 millisecond'
                             else ${DUE_NOW} end,
               due_at_end = case when ${WAITS} then now() + i.retry_at_end_ms * interval '1 millisecond' end
          from decided i
         -- Counted, so that what is finished is gone before.
         where (select count(*) from finished) >= 0 and q.id = any(array[i.queue_id]) and q.lease_token = i.lease
           and (i.final <> 'failing' or q.version = i.seen_version)
        returning i.*, q.due_at <= now() as more
      ), held as materialized (
        select * from finished union all select * from kept
      ), hurried as (
        -- A head that a person got through need not be waited for. One that is under way learns by the version that its outcome is
        -- to be judged anew. By the key alone, so that the row counts as it is under its lock.
        update webhook_queues q
           set version = q.version + 1,
               due_at = case when q.lease_token is null and q.due_at > now() then ${DUE_NOW} else q.due_at end,
               due_at_end = case when q.lease_token is not null then q.due_at_end end,
               failures = case when q.lease_token is null then 0 else q.failures end
          from held i
         where i.manual and i.was_open and i.status = 'delivered' and q.id = any(array[i.home_id])
           and not exists (select 1 from webhook_deliveries head
                            where head.queue_id = i.home_id and head.status in ${OPEN} and head.sequence < i.sequence offset 0)
      ), combined as (
        -- A scheduled attempt and manual ones of the same delivery may come in together: one that got through decides.
        select delivery_id, bool_or(final = 'delivered') as delivered, max(final) filter (where not manual) as scheduled,
               max(final) filter (where manual and final = 'exhausted') as given_up, max(error) as error,
               count(*) filter (where not manual and not unsent)::int as scheduled_attempts,
               count(*) filter (where not unsent)::int as all_attempts
          from held
         group by delivery_id
      ), written as (
        update webhook_deliveries d
           set status = case when c.delivered or d.status = 'delivered' then 'delivered'
                             when d.status = 'superseded' then 'superseded'
                             else coalesce(c.scheduled, c.given_up, d.status) end,
               attempts = d.attempts + case d.event_type when ${TEST_WEBHOOK_TYPE} then c.all_attempts else c.scheduled_attempts end,
               last_error = case when not c.delivered then c.error end, updated_at = now()
          from combined c
         where d.id = any(array[c.delivery_id])
      ), health as (
        update webhook_endpoints e
           set failing_since = case when s.succeeded then null
                                    when e.failed_at > now() - ${ENDPOINT_SILENCE} then coalesce(e.failing_since, now())
                                    else now() end,
               failed_at = case when not s.succeeded then now() end
          from (select endpoint_id, bool_or(status = 'delivered') as succeeded from input
                 where endpoint_id is not null group by endpoint_id) s
         where e.id = any(array[s.endpoint_id])
           and ((e.failing_since is null) <> s.succeeded
                or (not s.succeeded and coalesce(e.failed_at < now() - ${FAILED_AT_STEP}, true)))
      ), attempt as (
        -- Whatever has become of the claim.
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
      )
      select i.queue_id as "queueId", i.lease as "leaseToken", i.more,
             -- Compared, not searched with "exists": that was planned as a read of all endpoints.
             i.status <> 'delivered' and coalesce((
               select e.failing_since < now() - ${ENDPOINT_PATIENCE} and e.failed_at > now() - ${ENDPOINT_SILENCE}
                 from webhook_endpoints e where e.id = i.endpoint_id and e.status = 'enabled'), false) as "endpointFailed"
        from held i`;
    const byClaim = new Map(rows.map((row) => [row.queueId + row.leaseToken, row]));
    const succeeded = new Set(
      outcomes.filter(({ status }) => status === 'delivered').map(({ delivery }) => delivery.endpointId),
    );
    return outcomes.map(({ delivery: { queueId, endpointId }, leaseToken }) => {
      const row = byClaim.get(queueId + leaseToken);
      if (!row) return { written: false, endpointFailed: false, more: false };
      return { written: true, endpointFailed: row.endpointFailed && !succeeded.has(endpointId), more: row.more };
    });
  }
}

/** What is left when a text cannot be stored: without the record first, then without the reason. Null: nothing to leave out. */
function withLessText(outcome: DeliveryOutcome): DeliveryOutcome | null {
  if (outcome.attempt !== null) return { ...outcome, attempt: null };
  if (outcome.error !== null && outcome.error !== UNSTORABLE) return { ...outcome, error: UNSTORABLE };
  return null;
}

function toRow({
  delivery,
  leaseToken,
  status,
  retryInMs,
  retryAtEndInMs,
  error,
  attempt,
  unsent = false,
}: DeliveryOutcome): Record<string, unknown> {
  return {
    queue_id: delivery.queueId,
    version: delivery.version,
    lease: leaseToken,
    delivery_id: delivery.id,
    manual: delivery.manual,
    endpoint_id: delivery.endpointId,
    status,
    retry_ms: retryInMs,
    retry_at_end_ms: retryAtEndInMs,
    error,
    unsent,
    attempt,
  };
}
