import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import type { Lease } from '../../common/loops/lease.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { OPEN } from './deliveries.sql.js';
import type { Places } from './receiver-gate.js';

/** A queue that this process has claimed. */
export interface ClaimedQueue {
  queueId: string;
  /** grows when a webhook is added: tells whether there is more than this process has seen */
  version: number;
  tenantId: string;
  endpointId: string | null;
  origin: string;
  /** `holds`: the endpoint is paused or disabled; `gone`: it was deleted */
  receiver: 'takes' | 'holds' | 'gone';
  /** asked for by a person: outside the order, and whatever the endpoint's state is */
  manual: boolean;
}

/** The webhook at the head of a claimed queue. */
export interface ClaimedDelivery extends ClaimedQueue {
  id: string;
  jobId: string | null;
  eventType: string;
  url: string;
  body: string;
  /** scheduled attempts made before this one */
  attempts: number;
  headersCiphertext: string | null;
  callbackAllowedHosts: string[];
}

export interface Claims {
  deliveries: ClaimedDelivery[];
  empty: ClaimedQueue[];
}

/** Claims of the queues of webhooks. */
@Injectable()
export class DeliveryQueuesStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Claims queues that are due, with the oldest webhook of each. Of every origin only as many as there are places for it:
   * the origins are walked along the index, so that the queues of a receiver that takes nothing now are not even read.
   * Queues that turn out to be empty are claimed too, to be discarded. Returns before the disk has the claim.
   */
  async claimDueAnyTenant(lease: Lease, places: Places): Promise<Claims> {
    const { origins, pools } = places;
    const rows = await this.prisma.$queryRaw<(ClaimedDelivery | (ClaimedQueue & { id: null }))[]>`
      with recursive origin as (
        (select q.origin from webhook_queues q where q.due_at is not null order by q.origin limit 1)
         union all
        select (select q.origin from webhook_queues q
                 where q.due_at is not null and q.origin > o.origin order by q.origin limit 1)
          from origin o
         where o.origin is not null
      ), known as (
        select ${JSON.stringify(origins)}::jsonb as receivers
      ), place as (
        select o.origin, coalesce(k.receivers -> o.origin ->> 'pool', 'new') as pool,
               coalesce((k.receivers -> o.origin ->> 'free')::int, ${places.newFree}::int) as free
          from origin o, known k
         where o.origin is not null
      ), candidate as (
        select c.id, c.due_at, p.pool, c.place,
               row_number() over (partition by p.pool, c.tenant_id order by c.place, c.due_at) as turn
          from place p
          cross join lateral (
                select q.id, q.due_at, q.tenant_id, row_number() over (order by q.due_at) as place
                  from webhook_queues q
                 where q.origin = p.origin and q.due_at <= now()
                 order by q.due_at
                 limit p.free) c
         where p.free > 0
      ), chosen as (
        select r.id
          -- Tenants take turns: one with many dead receivers does not stand before all others.
          from (select c.id, c.pool, row_number() over (partition by c.pool order by c.turn, c.due_at) as rank from candidate c) r
         where r.rank <= case r.pool when 'proven' then ${pools.proven}::int when 'new' then ${pools.new}::int
                                     else ${pools.penalised}::int end
      ), unhurried as (
        -- For this transaction: a claim that is lost with a power cut is made again, as one whose owner died.
        select set_config('synchronous_commit', 'off', true) as setting
      ), due as (
        select q.id
          from webhook_queues q
         where q.id in (select id from chosen) and q.due_at <= now() and (select setting from unhurried) is not null
           for update of q skip locked
      ), claimed as (
        update webhook_queues q
           set lease_token = ${lease.token}::uuid, due_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond',
               origin = coalesce((select e.origin from webhook_endpoints e
                                  where e.id = q.endpoint_id and e.tenant_id = q.tenant_id), q.origin)
          from due
         where q.id = due.id
        returning q.id, q.version, q.tenant_id, q.endpoint_id, q.delivery_id, q.origin
      )
      select c.id as "queueId", c.version, c.tenant_id as "tenantId", c.endpoint_id as "endpointId", c.origin,
             c.delivery_id is not null as manual,
             case when c.endpoint_id is null then 'takes' when e.id is null or e.deleted_at is not null then 'gone'
                  when e.status = 'enabled' or c.delivery_id is not null then 'takes' else 'holds' end as receiver,
             d.id, d.job_id as "jobId", d.event_type as "eventType", coalesce(e.url, d.url) as url, d.body, d.attempts,
             e.headers_ciphertext as "headersCiphertext", t.callback_allowed_hosts as "callbackAllowedHosts"
        from claimed c
        join tenants t on t.id = c.tenant_id
        left join webhook_endpoints e on e.id = c.endpoint_id and e.tenant_id = c.tenant_id
        left join lateral (
              (select * from webhook_deliveries w
                where c.delivery_id is null and w.queue_id = c.id and w.tenant_id = c.tenant_id and w.status in ${OPEN}
                order by w.sequence limit 1)
               union all
              (select * from webhook_deliveries w where w.id = c.delivery_id and w.tenant_id = c.tenant_id)) d on true`;
    return {
      deliveries: rows.filter((row): row is ClaimedDelivery => row.id !== null),
      empty: rows.filter(({ id }) => id === null),
    };
  }

  /** Puts claims back that were not used. */
  async release(queueIds: string[], leaseToken: string): Promise<void> {
    await this.prisma.$executeRaw`
      update webhook_queues set lease_token = null, due_at = ${DUE_NOW}
       where id in (${inOrder(queueIds)}) and lease_token = ${leaseToken}::uuid`;
  }

  /** Keeps queues whose endpoint takes nothing now, until it does. */
  async hold(queueIds: string[], leaseToken: string): Promise<void> {
    await this.prisma.$executeRaw`
      update webhook_queues set lease_token = null, due_at = null
       where id in (${inOrder(queueIds)}) and lease_token = ${leaseToken}::uuid`;
  }

  /**
   * Lets go what was kept for endpoints that take webhooks again, or were deleted. Walks the endpoints that something is
   * kept for. What another session is letting go at the same moment is left to it: the dispatcher may have it already.
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
      ), kept as (
        select q.id
          from endpoint n
          join webhook_endpoints e on e.id = n.id and (e.status = 'enabled' or e.deleted_at is not null)
         cross join lateral (
               select h.id from webhook_queues h where h.endpoint_id = e.id and h.due_at is null limit ${limit}::int) q
         limit ${limit}::int
      ), free as (
        select h.id from webhook_queues h
         where h.id in (select id from kept) and h.due_at is null
         order by h.id
           for update of h skip locked
      )
      update webhook_queues q set due_at = ${DUE_NOW} from free f where q.id = f.id`;
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
       where q.id = r.id and q.version = r.version and q.lease_token = ${leaseToken}::uuid
         and q.id in (${inOrder(ids)})
         and not exists (select 1 from webhook_deliveries d where d.queue_id = q.id and d.status in ${OPEN})`;
    await this.release(ids, leaseToken);
  }
}

/** Locks rows in one order everywhere, so that no two statements wait for each other in a circle. */
function inOrder(queueIds: string[]): Prisma.Sql {
  return Prisma.sql`select o.id from webhook_queues o where o.id = any(${queueIds}::uuid[]) order by o.id for update`;
}
