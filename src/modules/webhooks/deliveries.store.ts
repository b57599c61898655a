import { Injectable } from '@nestjs/common';
import type { Lease } from '../../common/loops/lease.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { supersederOf } from './deliveries.sql.js';

/** A webhook that this process has claimed and sends. */
export interface ClaimedDelivery {
  id: string;
  tenantId: string;
  jobId: string;
  url: string;
  origin: string;
  body: string;
  /** attempts made before this one */
  attempts: number;
  callbackAllowedHosts: string[];
}

/** What an attempt came to. */
export interface DeliveryOutcome {
  id: string;
  leaseToken: string;
  status: 'delivered' | 'failing' | 'exhausted';
  /** null unless it is tried again */
  retryInMs: number | null;
  error: string | null;
}

/** How many due webhooks are looked at for each that can be taken. */
const CANDIDATES_A_PLACE = 5;
const OUTCOMES_A_STATEMENT = 500;

@Injectable()
export class DeliveriesStore {
  private readonly outcomes = new MicroBatcher((items: DeliveryOutcome[]) => this.markMany(items), {
    maxItems: OUTCOMES_A_STATEMENT,
    concurrency: 1,
  });

  constructor(private readonly prisma: PrismaService) {}

  /**
   * Claims webhooks that are due, of each job and URL the oldest only: one in flight, in order of sequence. One that
   * waits for its retry holds back the later ones of its job, and nobody else's. Of one origin only so many are taken,
   * and of those that are busy already none, so that a dead receiver cannot fill the places of the others.
   */
  claimDueAnyTenant(
    lease: Lease,
    limit: number,
    origins: { most: number; busy: string[] },
  ): Promise<ClaimedDelivery[]> {
    return this.prisma.$queryRaw<ClaimedDelivery[]>`
      with candidate as (
        select d.id, row_number() over (partition by d.origin order by d.due_at) as place
          from webhook_deliveries d
         where d.status in ('pending', 'failing') and d.due_at <= now()
           and (d.lease_expires_at is null or d.lease_expires_at < now())
           and d.origin <> all(${origins.busy}::text[])
           and not exists (
             select 1 from webhook_deliveries earlier
              where earlier.job_id = d.job_id and earlier.url = d.url and earlier.sequence < d.sequence
                and earlier.status in ('pending', 'failing'))
         order by d.due_at
         limit ${limit * CANDIDATES_A_PLACE}::int
      ), due as (
        select d.id
          from webhook_deliveries d
         where d.id in (select id from candidate where place <= ${origins.most}::int order by place limit ${limit}::int)
           and d.status in ('pending', 'failing') and d.due_at <= now()
           and (d.lease_expires_at is null or d.lease_expires_at < now())
           for update of d skip locked
      )
      update webhook_deliveries w
         set lease_token = ${lease.token}::uuid,
             lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond'
        from due, tenants t
       where w.id = due.id and t.id = w.tenant_id
      returning w.id, w.tenant_id as "tenantId", w.job_id as "jobId", w.url, w.origin, w.body, w.attempts,
                t.callback_allowed_hosts as "callbackAllowedHosts"`;
  }

  /** @returns false when the claim was gone: whoever has it now decides */
  mark(outcome: DeliveryOutcome): Promise<boolean> {
    return this.outcomes.add(outcome);
  }

  /** Puts a claim back that was not used. */
  async release(ids: string[], leaseToken: string): Promise<void> {
    await this.prisma.$executeRaw`
      update webhook_deliveries set lease_token = null, lease_expires_at = null
       where id = any(${ids}::uuid[]) and lease_token = ${leaseToken}::uuid`;
  }

  private async markMany(outcomes: DeliveryOutcome[]): Promise<boolean[]> {
    const rows = await this.prisma.$queryRaw<{ id: string }[]>`
      update webhook_deliveries d
         set status = case when o.status = 'failing' and exists (${supersederOf()}) then 'superseded' else o.status end,
             attempts = d.attempts + 1, last_error = o.error, lease_token = null,
             lease_expires_at = null, updated_at = now(),
             due_at = coalesce(now() + o.retry_ms * interval '1 millisecond', d.due_at)
        from json_to_recordset(${JSON.stringify(outcomes.map(toRow))}::json) as o(
          id uuid, lease uuid, status text, retry_ms float8, error text)
       where d.id = o.id and d.lease_token = o.lease
      returning d.id`;
    const written = new Set(rows.map(({ id }) => id));
    return outcomes.map(({ id }) => written.has(id));
  }
}

function toRow({ id, leaseToken, status, retryInMs, error }: DeliveryOutcome): Record<string, unknown> {
  return { id, lease: leaseToken, status, retry_ms: retryInMs, error };
}
