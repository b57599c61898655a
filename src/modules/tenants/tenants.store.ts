import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { type Prisma } from '../../generated/prisma/client.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';

export type TenantStatus = 'active' | 'suspended';
export type TokenStatus = 'unknown' | 'valid' | 'rejected';

/** Null does not limit. */
export interface TenantLimits {
  maxActiveJobs: number | null;
  requestsPerMinute: number | null;
  /** Credits, decimal text */
  monthlyCredits: string | null;
}

export interface TenantRecord {
  id: string;
  name: string;
  status: TenantStatus;
  accountId: string;
  tokenLast4: string;
  tokenStatus: TokenStatus;
  limits: TenantLimits;
  callbackAllowedHosts: string[];
  createdAt: Date;
  updatedAt: Date;
}

/** What of a tenant is written together with its token. */
export interface TokenColumns {
  accountId: string;
  ciphertext: string;
  last4: string;
  status: TokenStatus;
}

export interface TenantChanges {
  name?: string | undefined;
  status?: TenantStatus | undefined;
  limits?: Partial<TenantLimits> | undefined;
  callbackAllowedHosts?: string[] | undefined;
  token?: TokenColumns | undefined;
}

const SHOWN = {
  id: true,
  name: true,
  status: true,
  accountId: true,
  tokenLast4: true,
  tokenStatus: true,
  maxActiveJobs: true,
  requestsPerMinute: true,
  monthlyCredits: true,
  callbackAllowedHosts: true,
  createdAt: true,
  updatedAt: true,
} as const;

type ShownRow = Prisma.TenantGetPayload<{ select: typeof SHOWN }>;

const UNDER_WAY = ['submitting', 'unconfirmed', 'queued', 'processing'];

@Injectable()
export class TenantsStore {
  constructor(private readonly prisma: PrismaService) {}

  async insert(tenant: {
    id: string;
    name: string;
    limits: TenantLimits;
    callbackAllowedHosts: string[];
    token: TokenColumns;
  }): Promise<TenantRecord> {
    const { id, name, limits, callbackAllowedHosts, token } = tenant;
    const data = { id, name, ...limits, callbackAllowedHosts, ...tokenData(token), pace: { create: {} } };
    return toRecord(await this.prisma.tenant.create({ data, select: SHOWN }));
  }

  async find(id: string): Promise<TenantRecord | null> {
    const row = await this.prisma.tenant.findFirst({ where: { id, deletedAt: null }, select: SHOWN });
    return row && toRecord(row);
  }

  async findTokenCiphertext(id: string): Promise<string | null> {
    const row = await this.prisma.tenant.findFirst({
      where: { id, deletedAt: null },
      select: { tokenCiphertext: true },
    });
    return row?.tokenCiphertext ?? null;
  }

  /** Newest first. */
  async findPage(limit: number, after: PagePosition | undefined): Promise<TenantRecord[]> {
    const rows = await this.prisma.tenant.findMany({
      where: {
        deletedAt: null,
        ...(after && {
          OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }],
        }),
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit,
      select: SHOWN,
    });
    return rows.map(toRecord);
  }

  /**
   * A replaced token ends the tenant's rest, and what waited for it is sent at once. A token of another account is taken
   * only while TensorPix has or may have nothing of the tenant: the row is locked against intents and claims meanwhile.
   *
   * @returns null when there is no such tenant, `under_way` when the account cannot change now
   */
  async update(id: string, changes: TenantChanges): Promise<TenantRecord | null | 'under_way'> {
    const { name, status, limits, callbackAllowedHosts, token } = changes;
    const data = {
      ...(name !== undefined && { name }),
      ...(status !== undefined && { status }),
      ...limits,
      ...(callbackAllowedHosts !== undefined && { callbackAllowedHosts }),
      ...(token && { ...tokenData(token), pace: { update: { restUntil: null, holdUntil: null, holdReason: null } } }),
      updatedAt: new Date(),
    };
    return this.prisma.$transaction(async (tx) => {
      const [row] = await tx.$queryRaw<{ accountId: string }[]>`
        select account_id as "accountId" from tenants where id = ${id}::uuid and deleted_at is null for update`;
      if (!row) return null;
      if (token && token.accountId !== row.accountId && (await tx.job.count({ where: atTensorpix(id) })) > 0)
        return 'under_way';
      if (token) {
        await tx.$executeRaw`
          update jobs set due_at = date_trunc('milliseconds', now())
           where tenant_id = ${id}::uuid and status = 'submitting' and due_at > now()
             and status_reason in ('token_rejected', 'insufficient_credits', 'storage_full')`;
      }
      return toRecord(await tx.tenant.update({ where: { id }, data, select: SHOWN }));
    });
  }

  /** TensorPix's answer to a call with this token says whether it still works. A replaced token is left alone. */
  async markToken(id: string, tokenCiphertext: string, tokenStatus: TokenStatus): Promise<void> {
    await this.prisma.tenant.updateMany({
      where: { id, tokenCiphertext, NOT: { tokenStatus } },
      data: { tokenStatus, updatedAt: new Date() },
    });
  }

  /** The jobs of a tenant that have not ended: how many, and one by which TensorPix shows whose account it is. */
  async findUnderWay(
    tenantId: string,
  ): Promise<{ count: number; tensorpixId: number | null; outcomeUnknown: boolean }> {
    const where = { tenantId, status: { in: UNDER_WAY } };
    const [count, known, unconfirmed, newest] = await Promise.all([
      this.prisma.job.count({ where }),
      this.prisma.job.findFirst({
        where: { ...where, tensorpixId: { not: null } },
        orderBy: { createdAt: 'desc' },
        select: { tensorpixId: true },
      }),
      this.prisma.job.count({
        where: { ...where, OR: [{ status: 'unconfirmed' }, { leaseToken: { not: null } }], tensorpixId: null },
      }),
      this.prisma.job.findFirst({
        where: { tenantId, account: { tenants: { some: { id: tenantId } } }, tensorpixId: { not: null } },
        orderBy: { createdAt: 'desc' },
        select: { tensorpixId: true },
      }),
    ]);
    // A job that has ended shows the account as well, when nothing else of it is known there.
    const shown = known ?? (unconfirmed > 0 ? newest : null);
    return {
      count,
      tensorpixId: shown?.tensorpixId ? Number(shown.tensorpixId) : null,
      outcomeUnknown: unconfirmed > 0,
    };
  }

  /**
   * Takes the tenant away: its keys, secrets and token at once; its jobs stay until retention.
   * @returns false when jobs are under way, null when there is no such tenant
   */
  async markDeleted(id: string): Promise<boolean | null> {
    return this.prisma.$transaction(async (tx) => {
      // Locks the row against intents, whose foreign key check waits for it.
      const [row] = await tx.$queryRaw<{ id: string }[]>`
        select id from tenants where id = ${id}::uuid and deleted_at is null for update`;
      if (!row) return null;
      if ((await tx.job.count({ where: { tenantId: id, status: { in: UNDER_WAY } } })) > 0) return false;
      await tx.apiKey.updateMany({ where: { tenantId: id, revokedAt: null }, data: { revokedAt: new Date() } });
      await tx.webhookSecret.deleteMany({ where: { tenantId: id } });
      await tx.tenantPace.deleteMany({ where: { tenantId: id } });
      await tx.tenant.update({
        where: { id },
        data: { deletedAt: new Date(), status: 'suspended', tokenCiphertext: null, tokenLast4: '' },
      });
      return true;
    });
  }

  /** The account that a token belongs to: a known one when this token, or one it replaced, was seen before. */
  async findAccountId(fingerprint: Uint8Array<ArrayBuffer>): Promise<string | null> {
    const row = await this.prisma.tokenFingerprint.findUnique({ where: { fingerprint } });
    return row?.accountId ?? null;
  }

  /** Remembers that a token belongs to an account, a new one when none is given. Returns the account. */
  async saveAccount(fingerprint: Uint8Array<ArrayBuffer>, accountId: string | null): Promise<string> {
    const id = accountId ?? uuidv7();
    return this.prisma.$transaction(async (tx) => {
      await tx.tensorpixAccount.createMany({ data: { id }, skipDuplicates: true });
      await tx.tokenFingerprint.createMany({ data: { fingerprint, accountId: id }, skipDuplicates: true });
      const { accountId: owner } = await tx.tokenFingerprint.findUniqueOrThrow({ where: { fingerprint } });
      if (owner !== id && !accountId) await tx.tensorpixAccount.delete({ where: { id } });
      return owner;
    });
  }
}

/** Jobs that TensorPix has, or may have. */
function atTensorpix(tenantId: string): Prisma.JobWhereInput {
  const sent = [{ tensorpixId: { not: null } }, { leaseToken: { not: null } }, { status: 'unconfirmed' }];
  return { tenantId, status: { in: UNDER_WAY }, OR: sent };
}

function tokenData(token: TokenColumns) {
  return {
    accountId: token.accountId,
    tokenCiphertext: token.ciphertext,
    tokenLast4: token.last4,
    tokenStatus: token.status,
  };
}

function toRecord(row: ShownRow): TenantRecord {
  const { maxActiveJobs, requestsPerMinute, monthlyCredits, status, tokenStatus, ...rest } = row;
  return {
    ...rest,
    status: status as TenantStatus,
    tokenStatus: tokenStatus as TokenStatus,
    limits: { maxActiveJobs, requestsPerMinute, monthlyCredits: monthlyCredits?.toFixed(4) ?? null },
  };
}
