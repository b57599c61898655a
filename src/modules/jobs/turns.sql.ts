import { Prisma } from '../../generated/prisma/client.js';
import { SEAM, type Stretch } from './tenant-ring.js';

/**
 * Parts of the statement that claims jobs to be sent: whose turn it is.
 *
 * Sessions keep plans that were made without the values of parameters, perhaps when nothing waited and each small index
 * looked as good as another. So every step asks for one order that only one index has.
 */

/** Tenants that one claim walks over, whether they have anything to be claimed or not. */
const TENANTS_A_CLAIM = 200;

/** Which jobs a claim may take. */
export interface Turn extends Stretch {
  /** jobs in all */
  limit: number;
  /** of these, of one tenant */
  most: number;
  /** tenants that get none */
  busy: string[];
}

/** The waiting job of a later tenant of the ring `r` that is due first. */
const NEXT_TENANT = Prisma.sql`
  select j.tenant_id, j.due_at
    from jobs j
   where j.status = 'submitting' and j.due_at is not null and j.tenant_id > r.tenant_id
   order by j.tenant_id, j.due_at
   limit 1`;

/** For `exists`: something may be sent with this tenant's token now. The offset keeps it a look-up, made when it is needed. */
const MAY_SEND = Prisma.sql`
  select 1
    from tenants t
    left join tenant_paces p on p.tenant_id = t.id
   where t.id = n.tenant_id and t.status = 'active' and t.token_ciphertext is not null
     and coalesce(greatest(p.rest_until, p.hold_until) <= now(), true)
  offset 0`;

/**
 * `ring`: the tenants that are walked over, the lowest id after the highest, until there are as many with a due job as
 * there is room for. The seam between both is a step of its own. One index entry tells whether a tenant has a job that is
 * due; the rows of one that is suspended, busy or resting are not read.
 */
function ring({ after, until, limit, busy }: Turn): Prisma.Sql {
  return Prisma.sql`ring as (
    select ${after}::uuid as tenant_id, false as round, 0 as step, 0 as found, false as serves
     union all
    select s.tenant_id, s.round, r.step + 1, r.found + s.serves::int, s.serves
      from ring r
      left join lateral (${NEXT_TENANT}) n on true
     cross join lateral (
       select coalesce(n.tenant_id, ${SEAM}::uuid) as tenant_id,
              r.round or n.tenant_id is null as round,
              coalesce(n.due_at <= now(), false) and n.tenant_id <> all(${busy}::uuid[]) and exists (${MAY_SEND}) as serves
       offset 0) s
     where r.step < ${TENANTS_A_CLAIM}::int and r.found < ${limit}::int and (n.tenant_id is not null or not r.round)
       and (s.round, s.tenant_id) <= (${until}::uuid <= ${after}::uuid, ${until}::uuid))`;
}

/**
 * `candidate`: one due job of each tenant before a second of any. `walk`: how far it went. A ring that was walked over whole
 * and has more than there is room for is gone on with behind the last one that got a place.
 */
export function turns(turn: Turn): Prisma.Sql {
  return Prisma.sql`
    recursive ${ring(turn)}, walked as (
      select max(r.found) as found, max(r.step) < ${TENANTS_A_CLAIM}::int and max(r.found) < ${turn.limit}::int as whole
        from ring r
    ), candidate as (
      select c.id, r.tenant_id, c.place, r.step
        from walked w
       cross join ring r
       cross join lateral (
         select x.id, row_number() over (order by x.due_at) as place
           from jobs x
          where x.tenant_id = r.tenant_id and x.status = 'submitting' and x.due_at <= now()
          order by x.due_at
          limit case when w.found < ${turn.limit}::int then ${turn.most}::int else 1 end) c
       where r.serves
       order by c.place, r.step
       limit ${turn.limit}::int
    ), walk as (
      select w.whole,
             case when w.whole and (select count(*) from candidate) = ${turn.limit}::int
                  then (select c.tenant_id from candidate c order by c.place desc, c.step desc limit 1)
                  else (select r.tenant_id from ring r order by r.step desc limit 1) end as ended_at
        from walked w
    )`;
}
