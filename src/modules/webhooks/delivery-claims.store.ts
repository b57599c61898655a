import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import type { Lease } from '../../common/loops/lease.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { OPEN } from './deliveries.sql.js';
import { CONNECTIONS_AN_ORIGIN, PLACES, type Places } from './receiver-gate.js';

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
  /** made before its time, because the endpoint was changed: one that fails leaves the schedule where it was */
  hurried: boolean;
  /** of the endpoint, null of a `callback_url`: it grows when what is under way says nothing of it any more */
  endpointRevision: number | null;
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
const RECEIVERS_A_WALK = 200;

/** An origin as a tenant uses it; walks go along origins and their tenants. */
export interface ReceiverKey {
  origin: string;
  tenantId: string;
}

/** Before all receivers. */
export const BEGINNING: ReceiverKey = { origin: '', tenantId: '00000000-0000-0000-0000-000000000000' };

type Row<Told> = (ClaimedDelivery | (ClaimedQueue & { id: null })) & Told;

/** Claims of the queues of webhooks. */
@Injectable()
export class DeliveryClaimsStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Claims queues that are due, with the oldest webhook of each; of every receiver only as many as there are places for it, in
   * turns what is part of a replay and what is not. Queues that turn out to be empty are claimed too, to be discarded. Returns before the disk has the claim.
   *
   * Reads the oldest of what is due and nothing else, so that it costs what is due, however many receivers have webhooks
   * that wait for a retry. `full`: there is more than it has read, and those of a receiver that takes nothing now may stand
   * before all others; then `claimByReceiverAnyTenant` finds them.
   */
  async claimOldestAnyTenant(lease: Lease, places: Places): Promise<Claims & { full: boolean }> {
    const rows = await this.prisma.$claimRows<Row<{ full: boolean }>>`
      with oldest as materialized (
        select q.id, q.origin, q.tenant_id, q.replayed, q.due_at
          from webhook_queues q
         -- As the condition of its index has it.
         where q.due_at > '-infinity' and q.due_at <= now()
         order by q.due_at
         limit ${OLDEST}::int
      ), ${knownReceivers(places)}, ranked as materialized (
        select o.*, coalesce(${knownOf('o', 'lane')}, 'new') as lane,
               coalesce((${knownOf('o', 'free')})::int, ${places.newFree}::int) as free
          from (select o.*, row_number() over (partition by o.origin, o.tenant_id order by o.turn, o.replayed) as place
                  from (select o.*, row_number() over (partition by o.origin, o.tenant_id, o.replayed order by o.due_at) as turn
                          from oldest o) o) o, known k
      ), ${CANDIDATE}
      ), ${claimOf(lease, places)}
      select ${CLAIMED_COLUMNS}, s.full
        from (select count(*) >= ${OLDEST}::int as full from oldest) s
        left join ${CLAIMED_ROWS} on true`;
    return { ...claimsOf(rows), full: rows[0]?.full ?? false };
  }

  /**
   * The same, receiver by receiver along their index: the queues of one that takes nothing now are not read.
   *
   * @param behind the receiver after which the walk begins
   * @returns `walkedTo`: where the next walk goes on; null when this one has come to the last receiver
   */
  async claimByReceiverAnyTenant(
    lease: Lease,
    places: Places,
    behind: ReceiverKey,
  ): Promise<Claims & { walkedTo: ReceiverKey | null }> {
    return this.claimOfReceivers(lease, places, receiversBehind(behind));
  }

  /** The same of these receivers only. */
  async claimOfReceiversAnyTenant(lease: Lease, places: Places, receivers: ReceiverKey[]): Promise<Claims> {
    const { deliveries, empty } = await this.claimOfReceivers(lease, places, receiversGiven(receivers));
    return { deliveries, empty };
  }

  /** @param receivers `receiver (origin, tenant_id, step)` */
  private async claimOfReceivers(
    lease: Lease,
    places: Places,
    receivers: Prisma.Sql,
  ): Promise<Claims & { walkedTo: ReceiverKey | null }> {
    const rows = await this.prisma.$claimRows<Row<{ walkedTo: ReceiverKey | null }>>`
      with recursive receiver as (${receivers}), ${knownReceivers(places)}, ranked as materialized (
        select c.*, r.origin, r.tenant_id, r.lane, r.free
          from (select r.origin, r.tenant_id, coalesce(${knownOf('r', 'lane')}, 'new') as lane,
                       coalesce((${knownOf('r', 'free')})::int, ${places.newFree}::int) as free
                  from receiver r, known k) r
          cross join lateral (
                select t.id, t.due_at, row_number() over (order by t.turn, t.replayed) as place
                  from (${dueOfReceiver('not q.replayed')} union all ${dueOfReceiver('q.replayed')}) t
                 order by t.turn, t.replayed
                 limit r.free) c
         where r.free > 0
      ), ${CANDIDATE}
      ), ${claimOf(lease, places)}
      select ${CLAIMED_COLUMNS}, s."walkedTo"
        from (select (select json_build_object('origin', r.origin, 'tenantId', r.tenant_id)
                        from receiver r where r.step = ${RECEIVERS_A_WALK}::int) as "walkedTo") s
        left join ${CLAIMED_ROWS} on true`;
    return { ...claimsOf(rows), walkedTo: rows[0]?.walkedTo ?? null };
  }
}

/** Parts of the claims. */

function receiversBehind({ origin, tenantId }: ReceiverKey): Prisma.Sql {
  return Prisma.sql`
        (select q.origin, q.tenant_id, 1 as step from webhook_queues q
          where q.due_at is not null and (q.origin, q.tenant_id) > (${origin}, ${tenantId}::uuid)
          order by q.origin, q.tenant_id limit 1)
         union all
        select n.origin, n.tenant_id, r.step + 1
          from receiver r
         cross join lateral (
               select q.origin, q.tenant_id from webhook_queues q
                where q.due_at is not null and (q.origin, q.tenant_id) > (r.origin, r.tenant_id)
                order by q.origin, q.tenant_id limit 1) n
         where r.step < ${RECEIVERS_A_WALK}::int`;
}

function receiversGiven(receivers: ReceiverKey[]): Prisma.Sql {
  return Prisma.sql`
        select g.origin, g.tenant_id, 0 as step
          from unnest(${receivers.map(({ origin }) => origin)}::text[],
                      ${receivers.map(({ tenantId }) => tenantId)}::uuid[]) as g(origin, tenant_id)`;
}

/**
 * What the gate knows, which may be 100 kB: a claim takes out of it what each row needs before it sorts any, or every row would
 * carry all of it through the sort.
 */
function knownReceivers({ origins, tenants }: Places): Prisma.Sql {
  return Prisma.sql`known as (
        select ${JSON.stringify(origins)}::jsonb as origins, ${JSON.stringify(tenants)}::jsonb as tenants)`;
}

/** What is known of the receiver that a row of this name is of. */
function knownOf(row: 'o' | 'r', what: 'lane' | 'free'): Prisma.Sql {
  return Prisma.raw(`k.origins -> ${row}.origin -> 'tenants' -> ${row}.tenant_id::text ->> '${what}'`);
}

/** The oldest of what is due for `r (origin, tenant_id, free)`, in turns; part of a replay or not. */
function dueOfReceiver(replayed: 'q.replayed' | 'not q.replayed'): Prisma.Sql {
  return Prisma.sql`
                        (select q.id, q.due_at, q.replayed, row_number() over (order by q.due_at) as turn
                           from webhook_queues q
                          where q.origin = r.origin and q.tenant_id = r.tenant_id and ${Prisma.raw(replayed)} and q.due_at <= now()
                          order by q.due_at
                          limit r.free)`;
}

/** From `ranked (id, origin, tenant_id, due_at, lane, free, place)`: as many as receivers have places and origins connections. */
const CANDIDATE = Prisma.sql`placed as (
        select r.*, row_number() over (partition by r.origin order by r.place, r.due_at) as connection
          from ranked r
         where r.place <= r.free
      ), candidate as (
        select p.id, p.due_at, p.lane, p.tenant_id, row_number() over (partition by p.lane, p.tenant_id order by p.place, p.due_at) as turn
          from placed p, known k
         where p.connection <= coalesce((k.origins -> p.origin ->> 'free')::int, ${CONNECTIONS_AN_ORIGIN}::int)`;

/** From `candidate (id, due_at, lane, tenant_id, turn)` to `claimed`: as many as the lanes have places, of each tenant a part. */
function claimOf(lease: Lease, { lanes }: Places): Prisma.Sql {
  return Prisma.sql`chosen as (
        select r.id
          -- Tenants take turns: one with many dead receivers does not stand before all others.
          from (select c.id, c.lane, row_number() over (partition by c.lane order by c.turn, c.due_at) as rank
                  from candidate c, known k
                 where c.turn <= coalesce((k.tenants -> c.tenant_id::text ->> c.lane)::int,
                                          case c.lane when 'proven' then ${PLACES.proven.tenant}::int
                                                      when 'new' then ${PLACES.new.tenant}::int
                                                      else ${PLACES.penalised.tenant}::int end)) r
         where r.rank <= case r.lane when 'proven' then ${lanes.proven}::int when 'new' then ${lanes.new}::int
                                     else ${lanes.penalised}::int end
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
        returning q.id, q.version, q.tenant_id, q.endpoint_id, q.delivery_id, q.origin, q.hurried
      )`;
}

const CLAIMED_COLUMNS = Prisma.sql`
             c.id as "queueId", c.version, c.tenant_id as "tenantId", c.endpoint_id as "endpointId", c.origin,
             c.delivery_id is not null as manual,
             case when c.endpoint_id is null then 'takes' when e.id is null or e.deleted_at is not null then 'gone'
                  when e.status = 'enabled' or c.delivery_id is not null then 'takes' else 'holds' end as receiver,
             d.id, d.job_id as "jobId", d.event_type as "eventType", coalesce(e.url, d.url) as url, d.body, d.attempts,
             c.hurried, e.revision as "endpointRevision", e.headers_ciphertext as "headersCiphertext", t.callback_allowed_hosts as "callbackAllowedHosts"`;

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
