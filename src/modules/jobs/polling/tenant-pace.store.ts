import { Injectable } from '@nestjs/common';
import { Prisma } from '../../../generated/prisma/client.js';
import type { Lease } from '../../../common/loops/lease.js';
import { DUE_NOW } from '../../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../../common/prisma/prisma.service.js';
import type { UsedToken } from '../../tenants/tenant-tokens.js';
import type { StatusReason } from '../job-state.js';
import { CALL_RATE } from './call-pace.js';
import type { ListKnowledge } from './look-plan.js';

/** A tenant whose jobs have to be looked at. */
export interface ClaimedTenant {
  tenantId: string;
  accountId: string;
  tokenCiphertext: string | null;
  /** looks that failed in a row */
  failures: number;
  callsPerSecond: number;
  /** of its list at TensorPix */
  known: ListKnowledge | null;
}

/** What the end of a look leaves for the next one. */
export interface LookEnd {
  nextLookInMs: number;
  failures: number;
  /** calls a second more */
  gained: number;
  /** null leaves what is known */
  learned: ListKnowledge | null;
  /** the next look when somebody waits, or has just asked for a cancel; null: no sooner than otherwise */
  hurriedInMs: number | null;
}

/** Under what something was learned of a tenant. A process that has stood still may tell of what is long over. */
export interface Learned {
  token: UsedToken;
  heldBy?: Lease;
}

type ClaimedRow = Omit<ClaimedTenant, 'known'> & {
  listPageSize: number | null;
  listFrom: number | null;
  listPages: number | null;
};

/** After this it is found out anew whether the list is cheaper. Where jobs stand in it is learned at each look. */
const KNOWLEDGE_LASTS_MS = 600_000;
/** After a rest, submissions that waited for its end go first: looks wait for them, at most so long. */
const PRECEDENCE_MS = 5_000;

/** A token that is throttled rests for a second at least. Milliseconds. */
const LEAST_REST_MS = 1_000;

/**
 * Conditions of a tenant. Each is asked for in the order of the one index that tells it, so that a plan that is kept from an
 * empty table does not walk all that a tenant has.
 */
function hasJobAtTensorpix(tenantId: string): Prisma.Sql {
  return Prisma.sql`
    (select true from jobs j
      where j.tenant_id >= ${tenantId}::uuid and j.tenant_id <= ${tenantId}::uuid
        and j.status in ('queued', 'processing')
      order by j.tenant_id, j.tensorpix_id limit 1) is not null`;
}

function hasJobBeingSent(tenantId: string): Prisma.Sql {
  return Prisma.sql`
    (select true from jobs j
      where j.tenant_id >= ${tenantId}::uuid and j.tenant_id <= ${tenantId}::uuid
        and j.status = 'submitting' and j.lease_token is not null
      order by j.tenant_id, j.lease_token limit 1) is not null`;
}

/** When tenants are looked at, by whom, how fast, and until when their tokens rest. */
@Injectable()
export class TenantPaceStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * TensorPix throttles: nothing is sent with this tenant's token before the time has passed, by any tenant that has it,
   * on any replica, and half as fast afterwards. A token that is being replaced at this moment is waited for: what was said of the old
   * one does not let the new one rest.
   *
   * @param askedMs what TensorPix asked for; null: it did not say
   * @param learned what must still hold of the tenant; else nothing is changed
   */
  async rest(tenantId: string, askedMs: number | null, { token, heldBy }: Learned): Promise<void> {
    const restMs = Math.max(LEAST_REST_MS, askedMs ?? 0);
    await this.prisma.$executeRaw`
      with held as (
        -- Tenants before their paces, as everywhere.
        select t.account_id from tenants t
         where t.id = ${tenantId}::uuid and t.token_ciphertext = ${token.ciphertext}::text
           and (${heldBy?.token ?? null}::uuid is null or exists (
                 select 1 from tenant_paces h
                  where h.tenant_id = t.id and h.poll_lease_token = ${heldBy?.token ?? null}::uuid
                    and h.poll_lease_expires_at > now()))
           for key share
      )
      update tenant_paces
         set rest_until = greatest(rest_until, now() + ${restMs}::float8 * interval '1 millisecond'),
             -- Several calls may be throttled at once: that is one message.
             calls_per_second = case when rest_until > now() then calls_per_second
                                     else greatest(calls_per_second / 2, ${CALL_RATE.least}::float8) end
       where tenant_id = any(array(
         select p.tenant_id
           from held
           join tenants sharing on sharing.account_id = held.account_id
           join tenant_paces p on p.tenant_id = sharing.id
          order by p.tenant_id
            for update of p))`;
  }

  /**
   * The account refuses jobs: nothing of this tenant is sent in the background before the time has passed. What was said of a
   * token that has been replaced since holds nobody; one that is being replaced at this moment is waited for.
   */
  async hold(tenantId: string, holdMs: number, reason: StatusReason, { ciphertext }: UsedToken): Promise<void> {
    await this.prisma.$executeRaw`
      with held as (
        select t.id from tenants t
         where t.id = ${tenantId}::uuid and t.token_ciphertext = ${ciphertext}::text
           for key share
      )
      update tenant_paces
         set hold_until = now() + ${holdMs}::float8 * interval '1 millisecond', hold_reason = ${reason}::text
       where tenant_id = (select id from held)`;
  }

  /** Somebody waits for a job of this tenant: looks come as often as they may for so long. */
  async hurry(tenantId: string, forMs: number, minIntervalMs: number): Promise<void> {
    await this.prisma.$executeRaw`
      update tenant_paces
         set hurried_until = greatest(hurried_until, now() + ${forMs}::float8 * interval '1 millisecond'),
             poll_due_at = least(poll_due_at, now() + ${minIntervalMs}::float8 * interval '1 millisecond')
       where tenant_id = ${tenantId}::uuid and poll_due_at is not null and poll_failures = 0`;
  }

  /** Longest due first, each by one replica at a time: a tenant that takes long is one of many that are looked at. */
  async claimDueAnyTenant(lease: Lease, limit: number): Promise<ClaimedTenant[]> {
    const rows = await this.prisma.$queryRaw<ClaimedRow[]>`
      with due as (
        select p.tenant_id
          from tenant_paces p
         where p.poll_due_at <= now()
           and (p.poll_lease_expires_at is null or p.poll_lease_expires_at < now())
           and (p.rest_until is null
                or p.rest_until <= now() - ${PRECEDENCE_MS}::float8 * interval '1 millisecond'
                or (p.rest_until <= now()
                    -- The offset keeps the planner from reading all due jobs of all tenants into a hash instead.
                    and not exists (select 1 from jobs j where j.tenant_id = p.tenant_id and j.status = 'submitting'
                                       and j.due_at <= now() offset 0)))
         order by p.poll_due_at
         limit ${limit}::int
           for update of p skip locked
      )
      update tenant_paces p
         set poll_lease_token = ${lease.token}::uuid,
             poll_lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond'
        from due, tenants t
       where p.tenant_id = any(array[due.tenant_id]) and t.id = any(array[due.tenant_id])
      returning p.tenant_id as "tenantId", t.account_id as "accountId", t.token_ciphertext as "tokenCiphertext",
                p.poll_failures as failures, p.calls_per_second as "callsPerSecond",
                p.list_page_size as "listPageSize", p.list_from as "listFrom",
                case when p.list_learned_at > now() - ${KNOWLEDGE_LASTS_MS}::float8 * interval '1 millisecond'
                     then p.list_pages end as "listPages"`;
    return rows.map(({ listPageSize: pageSize, listFrom: from, listPages: pages, ...tenant }) => ({
      ...tenant,
      known: pageSize === null || from === null ? null : { pageSize, from, pages },
    }));
  }

  /** Prolongs a claim. False when it is gone, and when the token has been put to rest meanwhile: then the look ends. */
  async renew(tenantId: string, lease: Lease): Promise<boolean> {
    const renewed = await this.prisma.$executeRaw`
      update tenant_paces
         set poll_lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond'
       where tenant_id = ${tenantId}::uuid and poll_lease_token = ${lease.token}::uuid and poll_lease_expires_at > now()
         and (rest_until is null or rest_until <= now())`;
    return renewed > 0;
  }

  /**
   * Ends a claim and says when to look again; a tenant without jobs at TensorPix is not looked at any more.
   *
   * A job that is being sent counts too: its bind may overlap this statement, and finds a look planned then. What slips
   * through is found by `wakeForgottenAnyTenant`.
   *
   * @returns false when the claim was gone
   */
  async release(tenantId: string, lease: Lease, end: LookEnd): Promise<boolean> {
    const { nextLookInMs, failures, gained, learned, hurriedInMs } = end;
    return this.prisma.$transaction(async (tx) => {
      const held = await tx.$queryRaw<{ id: string }[]>`
        select tenant_id as id from tenant_paces
         where tenant_id = ${tenantId}::uuid and poll_lease_token = ${lease.token}::uuid for update`;
      if (held.length === 0) return false;
      await tx.$executeRaw`
        update tenant_paces
           set poll_lease_token = null, poll_lease_expires_at = null, poll_failures = ${failures}::int,
               -- What was served before a throttling does not count after it.
               calls_per_second = case when rest_until > now() then calls_per_second
                                       else least(calls_per_second + ${gained}::float8, ${CALL_RATE.most}::float8) end,
               list_page_size = coalesce(${learned?.pageSize ?? null}::int, list_page_size),
               list_from = coalesce(${learned?.from ?? null}::int, list_from),
               list_pages = coalesce(${learned?.pages ?? null}::int, list_pages),
               list_learned_at = case when ${learned !== null}::boolean then now() else list_learned_at end,
               poll_due_at = case when (${hasJobAtTensorpix(tenantId)}) or (${hasJobBeingSent(tenantId)})
                 then now() + interval '1 millisecond' * case
                   -- Whether that came before the look or during it.
                   when hurried_until > now()
                     or exists (select 1 from jobs j
                                 where j.tenant_id = ${tenantId}::uuid and j.status in ('queued', 'processing')
                                   and j.cancel_requested_at > now() - interval '1 minute')
                   then least(${nextLookInMs}::float8, ${hurriedInMs}::float8)
                   else ${nextLookInMs}::float8 end end
         where tenant_id = ${tenantId}::uuid`;
      return true;
    });
  }

  /** Wakes tenants that have jobs at TensorPix but no look planned: the net under the wake-up of a bind. */
  async wakeForgottenAnyTenant(): Promise<number> {
    return this.prisma.$executeRaw`
      with recursive active as (
        (select j.tenant_id from jobs j where j.status in ('queued', 'processing') order by j.tenant_id limit 1)
         union all
        select (select j.tenant_id from jobs j
                 where j.status in ('queued', 'processing') and j.tenant_id > a.tenant_id order by j.tenant_id limit 1)
          from active a
         where a.tenant_id is not null
      ), forgotten as (
        select p.tenant_id
          from active a
          join tenant_paces p on p.tenant_id = any(array[a.tenant_id]) and p.poll_due_at is null
           for update of p skip locked
      )
      update tenant_paces p set poll_due_at = ${DUE_NOW}
       where p.tenant_id = any(array(select tenant_id from forgotten))`;
  }
}
