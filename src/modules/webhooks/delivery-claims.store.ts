import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import type { Lease } from '../../common/loops/lease.js';
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

/** Of what is due, the oldest so many are looked at. */
const OLDEST = 1_000;
/** Receivers with waiting webhooks that one claim walks over. */
const ORIGINS_A_WALK = 200;

type Row<Told> = (ClaimedDelivery | (ClaimedQueue & { id: null })) & Told;

/** Claims of the queues of webhooks. */
@Injectable()
export class DeliveryClaimsStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Claims queues that are due, with the oldest webhook of each; of every origin only as many as there are places for it.
   * Queues that turn out to be empty are claimed too, to be discarded. Returns before the disk has the claim.
   *
   * Reads the oldest of what is due and nothing else, so that it costs what is due, however many receivers have webhooks
   * that wait for a retry. `full`: there is more than it has read, and those of a receiver that takes nothing now may stand
   * before all others; then `claimByOriginAnyTenant` finds them.
   */
  async claimOldestAnyTenant(lease: Lease, places: Places): Promise<Claims & { full: boolean }> {
    const rows = await this.prisma.$claimRows<Row<{ full: boolean }>>`
      with oldest as materialized (
        select q.id, q.origin, q.tenant_id, q.due_at
          from webhook_queues q
         -- As the condition of its index has it.
         where q.due_at > '-infinity' and q.due_at <= now()
         order by q.due_at
         limit ${OLDEST}::int
      ), ${knownReceivers(places)}, ranked as (
        select o.*, coalesce(k.receivers -> o.origin ->> 'pool', 'new') as pool,
               coalesce((k.receivers -> o.origin ->> 'free')::int, ${places.newFree}::int) as free,
               row_number() over (partition by o.origin order by o.due_at) as place
          from oldest o, known k
      ), candidate as (
        select r.id, r.due_at, r.pool, row_number() over (partition by r.pool, r.tenant_id order by r.place, r.due_at) as turn
          from ranked r
         where r.place <= r.free
      ), ${claimOf(lease, places)}
      select ${CLAIMED_COLUMNS}, s.full
        from (select count(*) >= ${OLDEST}::int as full from oldest) s
        left join ${CLAIMED_ROWS} on true`;
    return { ...claimsOf(rows), full: rows[0]?.full ?? false };
  }

  /**
   * The same, receiver by receiver along the index of origins: the queues of one that takes nothing now are not read.
   *
   * @param behind the origin after which the walk begins
   * @returns `walkedTo`: where the next walk goes on; null when this one has come to the last receiver
   */
  async claimByOriginAnyTenant(
    lease: Lease,
    places: Places,
    behind: string,
  ): Promise<Claims & { walkedTo: string | null }> {
    const rows = await this.prisma.$claimRows<Row<{ walkedTo: string | null }>>`
      with recursive origin as (
        (select q.origin, 1 as step from webhook_queues q
          where q.due_at is not null and q.origin > ${behind} order by q.origin limit 1)
         union all
        select (select q.origin from webhook_queues q
                 where q.due_at is not null and q.origin > o.origin order by q.origin limit 1), o.step + 1
          from origin o
         where o.origin is not null and o.step < ${ORIGINS_A_WALK}::int
      ), ${knownReceivers(places)}, place as (
        select o.origin, coalesce(k.receivers -> o.origin ->> 'pool', 'new') as pool,
               coalesce((k.receivers -> o.origin ->> 'free')::int, ${places.newFree}::int) as free
          from origin o, known k
         where o.origin is not null
      ), candidate as (
        select c.id, c.due_at, p.pool, row_number() over (partition by p.pool, c.tenant_id order by c.place, c.due_at) as turn
          from place p
          cross join lateral (
                -- Not "equal": that would make the index of all that is due look as good.
                select q.id, q.due_at, q.tenant_id, row_number() over (order by q.origin, q.due_at) as place
                  from webhook_queues q
                 where q.origin >= p.origin and q.origin <= p.origin and q.due_at <= now()
                 order by q.origin, q.due_at
                 limit p.free) c
         where p.free > 0
      ), ${claimOf(lease, places)}
      select ${CLAIMED_COLUMNS}, s."walkedTo"
        from (select max(o.origin) filter (where o.step = ${ORIGINS_A_WALK}::int) as "walkedTo" from origin o) s
        left join ${CLAIMED_ROWS} on true`;
    return { ...claimsOf(rows), walkedTo: rows[0]?.walkedTo ?? null };
  }
}

/** Parts of the claims. */

function knownReceivers({ origins }: Places): Prisma.Sql {
  return Prisma.sql`known as (select ${JSON.stringify(origins)}::jsonb as receivers)`;
}

/** From `candidate (id, due_at, pool, turn)` to `claimed`: as many as the pools have places. */
function claimOf(lease: Lease, { pools }: Places): Prisma.Sql {
  return Prisma.sql`chosen as (
        select r.id
          -- Tenants take turns: one with many dead receivers does not stand before all others.
          from (select c.id, c.pool, row_number() over (partition by c.pool order by c.turn, c.due_at) as rank from candidate c) r
         where r.rank <= case r.pool when 'proven' then ${pools.proven}::int when 'new' then ${pools.new}::int
                                     else ${pools.penalised}::int end
      ), unhurried as (
        -- For this transaction: a claim that is lost with a power cut is made again, as one whose owner died.
        select set_config('synchronous_commit', 'off', true) as setting
      ), due as (
        select d.id
          from chosen c
         cross join lateral (
               select q.id
                 from webhook_queues q
                -- By its key: inside a case, the condition makes no index of what is due look as good.
                where q.id = c.id and case when q.id is not null then q.due_at <= now() end
                  and (select setting from unhurried) is not null
                  for update of q skip locked) d
      ), claimed as (
        update webhook_queues q
           set lease_token = ${lease.token}::uuid, due_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond',
               origin = coalesce((select e.origin from webhook_endpoints e
                                  where e.id = q.endpoint_id and e.tenant_id = q.tenant_id), q.origin)
         where q.id = any(array(select id from due))
        returning q.id, q.version, q.tenant_id, q.endpoint_id, q.delivery_id, q.origin
      )`;
}

const CLAIMED_COLUMNS = Prisma.sql`
             c.id as "queueId", c.version, c.tenant_id as "tenantId", c.endpoint_id as "endpointId", c.origin,
             c.delivery_id is not null as manual,
             case when c.endpoint_id is null then 'takes' when e.id is null or e.deleted_at is not null then 'gone'
                  when e.status = 'enabled' or c.delivery_id is not null then 'takes' else 'holds' end as receiver,
             d.id, d.job_id as "jobId", d.event_type as "eventType", coalesce(e.url, d.url) as url, d.body, d.attempts,
             e.headers_ciphertext as "headersCiphertext", t.callback_allowed_hosts as "callbackAllowedHosts"`;

const CLAIMED_ROWS = Prisma.sql`(
             claimed c
        join tenants t on t.id = any(array[c.tenant_id])
        left join webhook_endpoints e on e.id = c.endpoint_id and e.tenant_id = c.tenant_id
        left join lateral (
              (select * from webhook_deliveries w
                where c.delivery_id is null and w.queue_id = c.id and w.tenant_id = c.tenant_id and w.status in ${OPEN}
                order by w.sequence limit 1)
               union all
              (select * from webhook_deliveries w where w.id = c.delivery_id and w.tenant_id = c.tenant_id)) d on true)`;

function claimsOf<Told>(rows: Row<Told>[]): Claims {
  const claimed = rows.filter(({ queueId }) => queueId !== null);
  return {
    deliveries: claimed.filter((row): row is ClaimedDelivery & Told => row.id !== null),
    empty: claimed.filter(({ id }) => id === null),
  };
}
