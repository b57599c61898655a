import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Prisma } from '../../generated/prisma/client.js';
import { callbackOrigin } from '../../common/outbound/callback-url.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { ofStatus } from './deliveries.store.js';
import type { DeliveryStatus } from './webhook-types.js';

export interface ReplayRange {
  since: Date;
  until: Date;
  endpointId: string | null;
  /** null: every one but superseded */
  status: DeliveryStatus | null;
}

interface Replayed extends PagePosition {
  endpointId: string | null;
  url: string;
}

/** What became of a part of a range. `last`: where to go on, null when the range is done. */
export interface ReplayedBatch {
  /** sent again */
  count: number;
  read: number;
  last: PagePosition | null;
}

/** A receiver that has just come back gets a replay at this pace at most, beside what is due anyway. */
export const REPLAY_PACE_MS = 10;
/** Webhooks that the replays of a tenant may have waiting at once. */
export const MOST_WAITING = 10_000;
/** And so many more that were asked for one by one: a replay must not keep a person from trying one. */
export const MOST_SINGLE = 1_000;

/** Sending again what a person asks for: each request is a queue of its own, so that none is swallowed by another. */
@Injectable()
export class ManualRetriesStore {
  constructor(private readonly prisma: PrismaService) {}

  /** What a tenant's earlier requests have left to be sent, and until when that is paced. */
  async findWaiting(
    tenantId: string,
    tx: Prisma.TransactionClient = this.prisma,
  ): Promise<{ count: number; pacedForMs: number }> {
    const [row] = await tx.$queryRaw<{ count: number; pacedForMs: number }[]>`
      select count(*)::int as count,
             -- That of one under way is when its claim expires.
             coalesce(greatest(extract(epoch from max(due_at) filter (where lease_token is null) - now()) * 1000, 0), 0)::float8
               as "pacedForMs"
        from (select due_at, lease_token from webhook_queues
               where tenant_id = ${tenantId}::uuid and delivery_id is not null
               order by due_at desc limit ${MOST_WAITING + MOST_SINGLE}::int) w`;
    return row ?? { count: 0, pacedForMs: 0 };
  }

  /** By the clock that dates deliveries. */
  async findNow(): Promise<Date> {
    const [row] = await this.prisma.$queryRaw<{ now: Date }[]>`select now() as now`;
    if (!row) throw new Error('the database tells no time');
    return row.now;
  }

  /** Due at once. */
  async insert(tenantId: string, delivery: { id: string; endpointId: string | null; url: string }): Promise<void> {
    await this.insertMany(this.prisma, tenantId, [delivery], 0, false);
  }

  /**
   * Takes back what waits of a tenant's replays, but for what is under way.
   *
   * @param endpointId null: to whatever receiver
   * @returns how many
   */
  async cancelReplays(tenantId: string, endpointId: string | null): Promise<number> {
    return this.prisma.$executeRaw`
      delete from webhook_queues
       where id = any(array(
         select q.id from webhook_queues q
          where q.tenant_id = ${tenantId}::uuid and q.delivery_id is not null and q.replayed
            -- Under way, unless its claim has expired.
            and (q.lease_token is null or q.due_at <= now())
            and ${endpointId ? Prisma.sql`q.endpoint_id = ${endpointId}::uuid` : Prisma.sql`true`}
          order by q.id
            for update of q skip locked))`;
  }

  /**
   * Sends a batch of a range again, oldest first, behind what is paced already. Those to endpoints that were deleted are left
   * out. One batch of a tenant at a time: replays that are asked for together share its bound and its pace.
   *
   * @returns how many are sent again and were read for it, and where to go on, or null when the range is done; null when as many
   *   wait as may
   */
  async insertBatch(
    tenantId: string,
    range: ReplayRange,
    after: PagePosition | undefined,
    most: number,
  ): Promise<ReplayedBatch | null> {
    return this.prisma.$transaction(async (tx) => {
      await tx.$executeRaw`select pg_advisory_xact_lock(hashtextextended(${`replays of ${tenantId}`}, 0))`;
      const waiting = await this.findWaiting(tenantId, tx);
      const limit = Math.min(most, MOST_WAITING - waiting.count);
      if (limit <= 0) return null;
      const rows = await this.findRange(tenantId, range, after, limit, tx);
      const sent = rows.filter(({ gone }) => !gone);
      const delayMs = waiting.pacedForMs > 0 ? waiting.pacedForMs + REPLAY_PACE_MS : 0;
      if (sent.length > 0) await this.insertMany(tx, tenantId, sent, delayMs, true);
      const last = rows.at(-1);
      return { count: sent.length, read: rows.length, last: rows.length === limit && last ? last : null };
    });
  }

  /** A page of a range, oldest first. `gone`: to an endpoint that was deleted. */
  async findRange(
    tenantId: string,
    { since, until, endpointId, status }: ReplayRange,
    after: PagePosition | undefined,
    limit: number,
    tx: Prisma.TransactionClient = this.prisma,
  ): Promise<(Replayed & { gone: boolean })[]> {
    return tx.$queryRaw`
      select d.id, d.created_at as "createdAt", d.endpoint_id as "endpointId", coalesce(e.url, d.url) as url,
             e.deleted_at is not null as gone
        from webhook_deliveries d
        left join webhook_endpoints e on e.id = d.endpoint_id and e.tenant_id = d.tenant_id
       where d.tenant_id = ${tenantId}::uuid and d.created_at >= ${since}::timestamptz and d.created_at < ${until}::timestamptz
         and ${endpointId ? Prisma.sql`d.endpoint_id = ${endpointId}::uuid` : Prisma.sql`true`}
         and ${status ? ofStatus(status) : Prisma.sql`d.status <> 'superseded'`}
         and ${after ? Prisma.sql`(d.created_at, d.id) > (${after.createdAt}::timestamptz, ${after.id}::uuid)` : Prisma.sql`true`}
       order by d.created_at, d.id
       limit ${limit}::int`;
  }

  private async insertMany(
    tx: Prisma.TransactionClient,
    tenantId: string,
    deliveries: { id: string; endpointId: string | null; url: string }[],
    delayMs: number,
    replayed: boolean,
  ): Promise<void> {
    const rows = deliveries.map(({ id, endpointId, url }, i) => ({
      id: uuidv7(),
      delivery_id: id,
      endpoint_id: endpointId,
      origin: callbackOrigin(url),
      delay_ms: delayMs + i * REPLAY_PACE_MS,
    }));
    await tx.$executeRaw`
      insert into webhook_queues (id, tenant_id, endpoint_id, delivery_id, origin, replayed, due_at)
      select r.id, ${tenantId}::uuid, r.endpoint_id, r.delivery_id, r.origin, ${replayed},
             date_trunc('milliseconds', now() + r.delay_ms * interval '1 millisecond')
        from json_to_recordset(${JSON.stringify(rows)}::json) as r(
          id uuid, delivery_id uuid, endpoint_id uuid, origin text, delay_ms float8)`;
  }
}
