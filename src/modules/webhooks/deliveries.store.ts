import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Prisma } from '../../generated/prisma/client.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { callbackOrigin } from '../../common/outbound/callback-url.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { OPEN } from './deliveries.sql.js';
import type { EndpointRecord } from './webhook-endpoints.store.js';
import { TEST_WEBHOOK_TYPE, type DeliveryStatus } from './webhook-types.js';

export interface DeliveryRecord {
  id: string;
  tenantId: string;
  jobId: string | null;
  endpointId: string | null;
  sequence: number;
  eventType: string;
  /** where it goes now: that of the endpoint, if it has one */
  url: string;
  status: DeliveryStatus;
  attempts: number;
  lastError: string | null;
  /** null when nothing is scheduled, or an earlier webhook of its queue has to go first */
  nextAttemptAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
}

/** A line of the attempt log as it is read. */
export interface AttemptRow {
  startedAt: Date;
  manual: boolean;
  url: string;
  requestHeaders: Record<string, string>;
  responseStatus: number | null;
  errorClass: string | null;
  error: string | null;
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
  firstByteMs: number | null;
  totalMs: number;
  responseExcerpt: string | null;
}

export interface DeliveryFilter {
  jobId?: string | undefined;
  endpointId?: string | undefined;
  status?: DeliveryStatus | undefined;
}

/**
 * A condition on the state of `webhook_deliveries d`. That it is none of those that were delivered is written out, because an index
 * with a condition is not used for a parameter (ADR 13); which one it is, is a parameter, because the index of what is open, while
 * that is empty, looked better to a plan that was kept than the one that has the order.
 */
export function ofStatus(status: DeliveryStatus): Prisma.Sql {
  if (status === 'delivered') return Prisma.sql`d.status = 'delivered'`;
  return Prisma.sql`d.status = ${status} and d.status in ('pending', 'failing', 'exhausted', 'superseded')`;
}

const COLUMNS = Prisma.sql`
  d.id, d.tenant_id as "tenantId", d.job_id as "jobId", d.endpoint_id as "endpointId", d.sequence, d.event_type as "eventType",
  coalesce(e.url, d.url) as url, d.status, d.attempts, d.last_error as "lastError", d.created_at as "createdAt",
  d.updated_at as "updatedAt",
  (select q.due_at from webhook_queues q
    where q.id = d.queue_id and q.lease_token is null and d.status in ${OPEN}
      and not exists (select 1 from webhook_deliveries earlier
                       where earlier.queue_id = d.queue_id and earlier.status in ${OPEN} and earlier.sequence < d.sequence)
  ) as "nextAttemptAt"`;

/** What callers read of deliveries, and their tests. */
@Injectable()
export class DeliveriesStore {
  constructor(private readonly prisma: PrismaService) {}

  /** Newest first. */
  async findPage(
    tenantId: string,
    { jobId, endpointId, status }: DeliveryFilter,
    limit: number,
    after: PagePosition | undefined,
  ): Promise<DeliveryRecord[]> {
    const conditions = [
      jobId
        ? Prisma.sql`d.job_id = ${jobId}::uuid and case when d.job_id is not null then d.tenant_id = ${tenantId}::uuid end`
        : Prisma.sql`d.tenant_id = ${tenantId}::uuid`,
      ...(endpointId ? [Prisma.sql`d.endpoint_id = ${endpointId}::uuid`] : []),
      ...(status ? [ofStatus(status)] : []),
      ...(after ? [Prisma.sql`(d.created_at, d.id) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`] : []),
    ];
    return this.prisma.$queryRaw<DeliveryRecord[]>`
      select ${COLUMNS}
        from webhook_deliveries d
        left join webhook_endpoints e on e.id = d.endpoint_id and e.tenant_id = d.tenant_id
       where ${Prisma.join(conditions, ' and ')}
       order by d.created_at desc, d.id desc
       limit ${limit}::int`;
  }

  async find(tenantId: string, id: string): Promise<(DeliveryRecord & { body: string; endpointGone: boolean }) | null> {
    const rows = await this.prisma.$queryRaw<(DeliveryRecord & { body: string; endpointGone: boolean })[]>`
      select ${COLUMNS}, d.body, d.endpoint_id is not null and e.deleted_at is not null as "endpointGone"
        from webhook_deliveries d
        left join webhook_endpoints e on e.id = d.endpoint_id and e.tenant_id = d.tenant_id
       where d.tenant_id = ${tenantId}::uuid and d.id = ${id}::uuid`;
    return rows[0] ?? null;
  }

  /** The newest ones, oldest first. */
  async findAttempts(tenantId: string, deliveryId: string, limit: number): Promise<AttemptRow[]> {
    const rows = await this.prisma.webhookAttempt.findMany({
      where: { deliveryId, delivery: { tenantId } },
      orderBy: { id: 'desc' },
      take: limit,
      omit: { id: true, deliveryId: true },
    });
    return rows.reverse().map((row) => ({ ...row, requestHeaders: row.requestHeaders as Record<string, string> }));
  }

  /** Writes a webhook about an endpoint to itself, to be sent once, whatever the endpoint's state is. */
  async insertTest({ tenantId, id: endpointId, url }: EndpointRecord, body: string): Promise<DeliveryRecord> {
    const id = uuidv7();
    const delivery = { id, tenantId, endpointId, queueId: id, sequence: 1, eventType: TEST_WEBHOOK_TYPE, url, body };
    await this.prisma.$transaction([
      this.prisma.webhookDelivery.create({ data: delivery }),
      this.prisma.$executeRaw`
        insert into webhook_queues (id, tenant_id, endpoint_id, delivery_id, origin, due_at)
        values (${id}::uuid, ${tenantId}::uuid, ${endpointId}::uuid, ${id}::uuid, ${callbackOrigin(url)}, ${DUE_NOW})`,
    ]);
    const written = await this.find(tenantId, id);
    if (!written) throw new Error('a test came to nothing');
    return written;
  }

  /** Removes old webhooks that are not about a job, but for those that are still to be delivered. Returns how many. */
  async deleteOldWithoutJobAnyTenant(keptDays: number, limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      delete from webhook_deliveries
       where id = any(array(
         select d.id
           from webhook_deliveries d
          where d.job_id is null and d.created_at < now() - ${keptDays}::float8 * interval '1 day' and d.status not in ${OPEN}
          order by d.created_at
          limit ${limit}::int
            for update skip locked))`;
  }
}
