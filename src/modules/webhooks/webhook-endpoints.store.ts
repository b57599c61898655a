import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { beginningUnder } from '../../common/crypto/keyring.js';
import { Problem } from '../../common/errors/problem.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { behind, NEWEST_FIRST } from '../../common/prisma/newest-first.js';
import { callbackOrigin } from '../../common/outbound/callback-url.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { insertSecret, type SecretRow } from './webhook-secrets.store.js';
import { ENDPOINT_DISABLED_TYPE } from './webhook-types.js';

export const ENDPOINT_STATUSES = ['enabled', 'paused', 'disabled'] as const;
export type EndpointStatus = (typeof ENDPOINT_STATUSES)[number];
/** `gone`: it answered 410. `failing`: nothing got through for five days. */
export type EndpointDisabledReason = 'gone' | 'failing';

export interface EndpointRecord {
  id: string;
  tenantId: string;
  url: string;
  description: string;
  events: string[];
  headersCiphertext: string | null;
  status: EndpointStatus;
  statusReason: EndpointDisabledReason | null;
  failingSince: Date | null;
  createdAt: Date;
  updatedAt: Date;
}

export type EndpointChanges = Partial<
  Pick<EndpointRecord, 'url' | 'description' | 'events' | 'headersCiphertext' | 'status'>
>;

const SHOWN = {
  id: true,
  tenantId: true,
  url: true,
  description: true,
  events: true,
  headersCiphertext: true,
  status: true,
  statusReason: true,
  failingSince: true,
  createdAt: true,
  updatedAt: true,
} as const;

/** Rows of standing endpoints. */
@Injectable()
export class WebhookEndpointsStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * @param secret that signs what is sent to it
   * @returns null when the tenant has as many as it may
   * @throws Problem 401 when it has been deleted since its key was looked up
   */
  async insert(
    endpoint: Pick<EndpointRecord, 'id' | 'tenantId' | 'url' | 'description' | 'events' | 'headersCiphertext'>,
    secret: SecretRow,
    most: number,
  ): Promise<EndpointRecord | null> {
    const { id, tenantId, url } = endpoint;
    return this.prisma.$transaction(async (tx) => {
      // One at a time, or two could both be the last one; and none beside a deletion, which would not find it.
      const standing = await tx.$queryRaw<{ id: string }[]>`
        select id from tenants where id = ${tenantId}::uuid and deleted_at is null for no key update`;
      if (standing.length === 0) throw new Problem('unauthenticated', 'The tenant of this key has just been deleted.');
      if ((await tx.webhookEndpoint.count({ where: { tenantId, deletedAt: null } })) >= most) return null;
      const data = { ...endpoint, id, origin: callbackOrigin(url) };
      const created = await tx.webhookEndpoint.create({ data, select: SHOWN });
      await insertSecret(tx, secret);
      return toRecord(created);
    });
  }

  async find(tenantId: string, id: string): Promise<EndpointRecord | null> {
    const row = await this.prisma.webhookEndpoint.findFirst({
      where: { tenantId, id, deletedAt: null },
      select: SHOWN,
    });
    return row && toRecord(row);
  }

  /** Whether headers are encrypted with this key. */
  async hasSecretUnder(keyId: string): Promise<boolean> {
    const where = { headersCiphertext: { startsWith: beginningUnder(keyId) } };
    return (await this.prisma.webhookEndpoint.findFirst({ where, select: { id: true } })) !== null;
  }

  /** Newest first. */
  async findPage(tenantId: string, limit: number, after: PagePosition | undefined): Promise<EndpointRecord[]> {
    const rows = await this.prisma.webhookEndpoint.findMany({
      where: {
        tenantId,
        deletedAt: null,
        ...behind(after),
      },
      orderBy: NEWEST_FIRST,
      take: limit,
      select: SHOWN,
    });
    return rows.map(toRecord);
  }

  /**
   * Another receiver, or one that is enabled anew, has failed nothing yet.
   *
   * @returns what it was and what it is, and whether that is such a receiver; null when the tenant has no such endpoint
   */
  async update(
    tenantId: string,
    id: string,
    changes: EndpointChanges,
  ): Promise<{ before: EndpointRecord; after: EndpointRecord; isAnew: boolean } | null> {
    const { url, status } = changes;
    return this.prisma.$transaction(async (tx) => {
      // Not "for update": that would keep the tenant's jobs from writing webhooks to it meanwhile.
      await tx.$queryRaw`
        select id from webhook_endpoints where tenant_id = ${tenantId}::uuid and id = ${id}::uuid for no key update`;
      const before = await tx.webhookEndpoint.findFirst({ where: { tenantId, id, deletedAt: null }, select: SHOWN });
      if (!before) return null;
      const isAnother = url !== undefined && url !== before.url;
      const isAnew = isAnother || (status === 'enabled' && before.status !== 'enabled');
      const data = {
        ...changes,
        ...(isAnother && { origin: callbackOrigin(url) }),
        ...(status !== undefined && { statusReason: null }),
        ...(isAnew && { failingSince: null, revision: { increment: 1 } }),
      };
      await tx.webhookEndpoint.update({ where: { id }, data });
      await tx.$executeRaw`update webhook_endpoints set updated_at = now() where tenant_id = ${tenantId}::uuid and id = ${id}::uuid`;
      const after = await tx.webhookEndpoint.findFirstOrThrow({ where: { tenantId, id }, select: SHOWN });
      return { before: toRecord(before), after: toRecord(after), isAnew };
    });
  }

  /** What is still to be delivered to it is given up, visibly. False when the tenant has no such endpoint. */
  async delete(tenantId: string, id: string): Promise<boolean> {
    return this.prisma.$transaction(async (tx) => {
      // No rotation of its secret meanwhile.
      await tx.$queryRaw`select id from tenants where id = ${tenantId}::uuid for no key update`;
      const count = await tx.$executeRaw`
        update webhook_endpoints set deleted_at = now(), updated_at = now(), headers_ciphertext = null
         where tenant_id = ${tenantId}::uuid and id = ${id}::uuid and deleted_at is null`;
      await tx.webhookSecret.deleteMany({ where: { tenantId, endpointId: id } });
      return count > 0;
    });
  }

  /**
   * Disables an endpoint, paused or not, and writes the webhook about it to the tenant's other endpoints that want it.
   *
   * @param revision of the receiver that has failed: the endpoint may be another one by now
   * @param write the body of that webhook
   * @returns false when it was disabled already, or is another receiver by now
   */
  async disable(
    tenantId: string,
    id: string,
    revision: number,
    reason: EndpointDisabledReason,
    write: (endpoint: EndpointRecord) => string,
  ): Promise<boolean> {
    return this.prisma.$transaction(async (tx) => {
      const count = await tx.$executeRaw`
        update webhook_endpoints set status = 'disabled', status_reason = ${reason}, updated_at = now()
         where tenant_id = ${tenantId}::uuid and id = ${id}::uuid and revision = ${revision}::int
           and status <> 'disabled' and deleted_at is null`;
      if (count === 0) return false;
      const endpoint = toRecord(await tx.webhookEndpoint.findFirstOrThrow({ where: { tenantId, id }, select: SHOWN }));
      const listeners = await tx.webhookEndpoint.findMany({
        where: { tenantId, deletedAt: null, id: { not: id }, events: { has: ENDPOINT_DISABLED_TYPE } },
        select: { id: true, url: true, origin: true, status: true },
      });
      const body = write(endpoint);
      for (const { id: endpointId, url, origin, status } of listeners) {
        const deliveryId = uuidv7();
        const delivery = { id: deliveryId, tenantId, endpointId, queueId: deliveryId, sequence: 1, url, body };
        await tx.webhookDelivery.create({ data: { ...delivery, eventType: ENDPOINT_DISABLED_TYPE } });
        await tx.$executeRaw`
          insert into webhook_queues (id, tenant_id, endpoint_id, origin, due_at)
          values (${deliveryId}::uuid, ${tenantId}::uuid, ${endpointId}::uuid, ${origin},
                  case when ${status} = 'enabled' then ${DUE_NOW} end)`;
      }
      return true;
    });
  }
}

function toRecord(
  row: Omit<EndpointRecord, 'status' | 'statusReason'> & { status: string; statusReason: string | null },
): EndpointRecord {
  return {
    ...row,
    status: row.status as EndpointStatus,
    statusReason: row.statusReason as EndpointDisabledReason | null,
  };
}
