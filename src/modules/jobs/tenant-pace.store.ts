import { Injectable } from '@nestjs/common';
import type { Lease } from '../../common/loops/lease.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import type { StatusReason } from './job-state.js';

/** A tenant whose jobs have to be looked at. */
export interface ClaimedTenant {
  tenantId: string;
  accountId: string;
  tokenCiphertext: string | null;
  /** looks that failed in a row */
  failures: number;
}

/** When tenants are looked at, by whom, and until when their tokens rest. */
@Injectable()
export class TenantPaceStore {
  constructor(private readonly prisma: PrismaService) {}

  /** Nothing is sent with this tenant's token before the time has passed, by any tenant that has it, on any replica. */
  async rest(tenantId: string, restMs: number): Promise<void> {
    await this.prisma.$executeRaw`
      update tenant_paces
         set rest_until = greatest(rest_until, now() + ${restMs}::float8 * interval '1 millisecond')
       where tenant_id in (
         select sharing.id from tenants t join tenants sharing on sharing.account_id = t.account_id
          where t.id = ${tenantId}::uuid)`;
  }

  /** The account refuses jobs: nothing of this tenant is sent in the background before the time has passed. */
  async hold(tenantId: string, holdMs: number, reason: StatusReason): Promise<void> {
    await this.prisma.$executeRaw`
      update tenant_paces
         set hold_until = now() + ${holdMs}::float8 * interval '1 millisecond', hold_reason = ${reason}::text
       where tenant_id = ${tenantId}::uuid`;
  }

  async claimDueAnyTenant(lease: Lease, limit: number): Promise<ClaimedTenant[]> {
    return this.prisma.$queryRaw<ClaimedTenant[]>`
      with due as (
        select p.tenant_id
          from tenant_paces p
         where p.poll_due_at <= now()
           and (p.poll_lease_expires_at is null or p.poll_lease_expires_at < now())
           and (p.rest_until is null or p.rest_until <= now())
         order by p.poll_due_at
         limit ${limit}::int
           for update of p skip locked
      )
      update tenant_paces p
         set poll_lease_token = ${lease.token}::uuid,
             poll_lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond'
        from due, tenants t
       where p.tenant_id = due.tenant_id and t.id = p.tenant_id
      returning p.tenant_id as "tenantId", t.account_id as "accountId", t.token_ciphertext as "tokenCiphertext", p.poll_failures as failures`;
  }

  /**
   * Ends a claim and says when to look again; a tenant without jobs at TensorPix is not looked at any more.
   *
   * A job that is being sent counts too: its bind may overlap this statement, and finds a look planned then. What slips
   * through is found by `wakeForgottenAnyTenant`.
   *
   * @returns false when the claim was gone
   */
  async release(tenantId: string, lease: Lease, nextLookInMs: number, failures: number): Promise<boolean> {
    return this.prisma.$transaction(async (tx) => {
      const held = await tx.$queryRaw<{ id: string }[]>`
        select tenant_id as id from tenant_paces
         where tenant_id = ${tenantId}::uuid and poll_lease_token = ${lease.token}::uuid for update`;
      if (held.length === 0) return false;
      await tx.$executeRaw`
        update tenant_paces
           set poll_lease_token = null, poll_lease_expires_at = null, poll_failures = ${failures}::int,
               poll_due_at = case when exists (
                   select 1 from jobs j
                    where j.tenant_id = ${tenantId}::uuid
                      and (j.status in ('queued', 'processing')
                           or (j.status = 'submitting' and j.lease_token is not null)))
                 then now() + ${nextLookInMs}::float8 * interval '1 millisecond' end
         where tenant_id = ${tenantId}::uuid`;
      return true;
    });
  }

  /** Wakes tenants that have jobs at TensorPix but no look planned: the net under the wake-up of a bind. */
  async wakeForgottenAnyTenant(): Promise<number> {
    return this.prisma.$executeRaw`
      update tenant_paces p
         set poll_due_at = ${DUE_NOW}
       where p.poll_due_at is null
         and exists (select 1 from jobs j where j.tenant_id = p.tenant_id and j.status in ('queued', 'processing'))`;
  }
}
