import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { OPEN } from './deliveries.sql.js';
import type { ClaimedQueue } from './delivery-claims.store.js';

/** Of what is kept for an endpoint, at least so much is read when there are many. */
const LEAST_OF_EACH = 10;
const HURRIED_A_STATEMENT = 1_000;
/** An end, for receivers that fail faster than this hurries. */
const HURRYING_STATEMENTS = 100;

/** What becomes of queues of webhooks that were claimed and not sent, or are kept for an endpoint. */
@Injectable()
export class DeliveryQueuesStore {
  constructor(private readonly prisma: PrismaService) {}

  /** Puts claims back that were not used. */
  async release(queueIds: string[], leaseToken: string): Promise<void> {
    await this.prisma.$executeRaw`
      update webhook_queues set lease_token = null, due_at = ${DUE_NOW}
       where id = any(array(${inOrder(queueIds)})) and lease_token = ${leaseToken}::uuid`;
  }

  /** Keeps queues whose endpoint takes nothing now, until it does. */
  async hold(queueIds: string[], leaseToken: string): Promise<void> {
    await this.prisma.$executeRaw`
      update webhook_queues set lease_token = null, due_at = null
       where id = any(array(${inOrder(queueIds)})) and lease_token = ${leaseToken}::uuid`;
  }

  /**
   * Makes due what waits for a retry at an endpoint that was changed or deleted, batch by batch. What is under way is left
   * to its outcome, which sees the change.
   *
   * @param origin of the queues: that which it had when these failed, or has since
   */
  async hurry(tenantId: string, endpointId: string, origin: string): Promise<void> {
    for (let statements = 0; statements < HURRYING_STATEMENTS; statements += 1) {
      const hurried = await this.prisma.$executeRaw`
        with waiting as materialized (
          select q.id from webhook_queues q
           where q.origin = ${origin} and q.tenant_id = ${tenantId}::uuid and not q.replayed and q.due_at > now()
             and q.endpoint_id = ${endpointId}::uuid and q.delivery_id is null
           order by q.due_at
           limit ${HURRIED_A_STATEMENT}::int
        ), free as materialized (
          -- Not skipped when it is locked: an outcome that knows nothing of the change may be writing its retry.
          select q.id from webhook_queues q
           where q.id = any(array(select id from waiting))
             and case when q.id is not null then q.due_at > now() and q.lease_token is null end
           order by q.id
             for update
        )
        update webhook_queues q set due_at = ${DUE_NOW}, hurried = true where q.id = any(array(select id from free))`;
      if (hurried === 0) return;
    }
  }

  /**
   * Lets go what was kept for endpoints that take webhooks again, or were deleted. Walks the endpoints that something is
   * kept for, and takes of each in turn, so that none waits for another's backlog. What another session is letting go at the same moment is left to it: the dispatcher may have it already.
   *
   * @returns how many queues are due again
   */
  async releaseHeldAnyTenant(limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      with recursive endpoint as (
        (select q.endpoint_id as id from webhook_queues q where q.due_at is null order by q.endpoint_id limit 1)
         union all
        select (select q.endpoint_id from webhook_queues q
                 where q.due_at is null and q.endpoint_id > n.id order by q.endpoint_id limit 1)
          from endpoint n
         where n.id is not null
      ), taking as materialized (
        select e.id, greatest(${LEAST_OF_EACH}::int, ${limit}::int / count(*) over ()) as most
          from endpoint n
          join webhook_endpoints e on e.id = n.id and (e.status = 'enabled' or e.deleted_at is not null)
      ), kept as (
        select q.id
          from taking t
         cross join lateral (
               select h.id, row_number() over () as turn
                 from (select h.id from webhook_queues h where h.endpoint_id = t.id and h.due_at is null limit t.most) h) q
         order by q.turn
         limit ${limit}::int
      ), free as (
        select h.id from webhook_queues h
         where h.id = any(array(select id from kept)) and h.due_at is null
         order by h.id
           for update of h skip locked
      )
      update webhook_queues q set due_at = ${DUE_NOW} where q.id = any(array(select id from free))`;
  }

  /** For how long the oldest of what is due has been due, in seconds; 0 when nothing is. */
  async findLongestDueAnyTenant(): Promise<number> {
    const [row] = await this.prisma.$queryRaw<{ seconds: number }[]>`
      select coalesce(extract(epoch from now() - (
               select q.due_at from webhook_queues q
                where q.due_at > '-infinity' and q.due_at <= now() order by q.due_at limit 1)), 0)::float8 as seconds`;
    return row?.seconds ?? 0;
  }

  /**
   * Removes queues that were empty when they were claimed. What was written since is looked for anew: the claim has seen the
   * version of the row that it locked, but the webhooks of a moment before.
   */
  async discard(empty: ClaimedQueue[], leaseToken: string): Promise<void> {
    const rows = empty.map(({ queueId: id, version }) => ({ id, version }));
    const ids = rows.map(({ id }) => id);
    await this.prisma.$executeRaw`
      delete from webhook_queues q using json_to_recordset(${JSON.stringify(rows)}::json) as r(id uuid, version integer)
       where q.id = any(array[r.id]) and q.version = r.version and q.lease_token = ${leaseToken}::uuid
         and q.id = any(array(${inOrder(ids)}))
         and not exists (select 1 from webhook_deliveries d where d.queue_id = q.id and d.status in ${OPEN} offset 0)`;
    await this.release(ids, leaseToken);
  }
}

/** Locks rows in one order everywhere, so that no two statements wait for each other in a circle. */
function inOrder(queueIds: string[]): Prisma.Sql {
  return Prisma.sql`select o.id from webhook_queues o where o.id = any(${queueIds}::uuid[]) order by o.id for update`;
}
