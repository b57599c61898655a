import { Injectable } from '@nestjs/common';
import { type Prisma } from '../../generated/prisma/client.js';
import { beginningUnder } from '../../common/crypto/keyring.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { behind, NEWEST_FIRST } from '../../common/prisma/newest-first.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import {
  AccountInUse,
  changeToken,
  hasJobsUnderWay,
  mayHaveJobs,
  saveAccount,
  tokenData,
  type TokenColumns,
  type TokenStatus,
} from './token-columns.store.js';

export type TenantStatus = 'active' | 'suspended';

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

/** What is known of a tenant's TensorPix account when its token is to be replaced. */
export interface AccountStanding {
  /** TensorPix has, or may have, jobs of this tenant that have not ended. */
  mayBeThere: boolean;
  /** Another tenant has the account too. */
  isShared: boolean;
  /** a job of the account; null when there never was one */
  proofId: number | null;
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

/** Rows of tenants; their keys have a store of their own. */
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
    return this.prisma.$transaction(async (tx) => {
      const accountId = await saveAccount(tx, token);
      const data = { id, name, ...limits, callbackAllowedHosts, ...tokenData(token, accountId), pace: { create: {} } };
      return toRecord(await tx.tenant.create({ data, select: SHOWN }));
    });
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
        ...behind(after),
      },
      orderBy: NEWEST_FIRST,
      take: limit,
      select: SHOWN,
    });
    return rows.map(toRecord);
  }

  /**
   * A replaced token ends the tenant's rest and hold. A token of another account is taken
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
      updatedAt: new Date(),
    };
    try {
      return await this.prisma.$transaction(async (tx) => {
        const [row] = await tx.$queryRaw<{ accountId: string }[]>`
          select account_id as "accountId" from tenants where id = ${id}::uuid and deleted_at is null for update`;
        if (!row) return null;
        const tokenChange = token ? await changeToken(tx, id, row.accountId, token) : {};
        return toRecord(await tx.tenant.update({ where: { id }, data: { ...data, ...tokenChange }, select: SHOWN }));
      });
    } catch (error) {
      if (error instanceof AccountInUse) return 'under_way';
      throw error;
    }
  }

  /** TensorPix's answer to a call with this token says whether it still works. A replaced token is left alone. */
  async markToken(id: string, tokenCiphertext: string, tokenStatus: TokenStatus): Promise<void> {
    await this.prisma.tenant.updateMany({
      where: { id, tokenCiphertext, NOT: { tokenStatus } },
      data: { tokenStatus, updatedAt: new Date() },
    });
  }

  /**
   * What stands against another account for a tenant, and the job by which TensorPix shows whether a token sees the present
   * one: the newest under way, else the newest of all, whichever tenant of the account sent it.
   */
  async findStanding({ id, accountId }: Pick<TenantRecord, 'id' | 'accountId'>): Promise<AccountStanding> {
    const [mayBeThere, isShared, active] = await Promise.all([
      mayHaveJobs(this.prisma, id),
      this.isShared(id, accountId),
      this.findActive(accountId),
    ]);
    const proof = active ?? (await this.findNewest(accountId));
    return { mayBeThere, isShared, proofId: proof ? Number(proof.tensorpixId) : null };
  }

  private async isShared(id: string, accountId: string): Promise<boolean> {
    const other = await this.prisma.tenant.findFirst({
      where: { accountId, deletedAt: null, NOT: { id } },
      select: { id: true },
    });
    return other !== null;
  }

  private async findActive(accountId: string): Promise<{ tensorpixId: bigint } | undefined> {
    const [row] = await this.prisma.$queryRaw<{ tensorpixId: bigint }[]>`
      select j.tensorpix_id as "tensorpixId" from jobs j
       where j.account_id = ${accountId}::uuid and j.status in ('queued', 'processing') and j.tensorpix_id is not null
       order by j.submitted_at desc limit 1`;
    return row;
  }

  private async findNewest(accountId: string): Promise<{ tensorpixId: bigint } | undefined> {
    const [row] = await this.prisma.$queryRaw<{ tensorpixId: bigint }[]>`
      select j.tensorpix_id as "tensorpixId" from jobs j
       where j.account_id = ${accountId}::uuid and j.tensorpix_id is not null
       order by j.tensorpix_id desc limit 1`;
    return row;
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
      if (await hasJobsUnderWay(tx, id)) return false;
      await tx.apiKey.updateMany({ where: { tenantId: id, revokedAt: null }, data: { revokedAt: new Date() } });
      await tx.webhookSecret.deleteMany({ where: { tenantId: id } });
      await tx.webhookEndpoint.updateMany({
        where: { tenantId: id, deletedAt: null },
        data: { deletedAt: new Date(), headersCiphertext: null },
      });
      await tx.tenantPace.deleteMany({ where: { tenantId: id } });
      await tx.tenant.update({
        where: { id },
        data: { deletedAt: new Date(), status: 'suspended', tokenCiphertext: null, tokenLast4: '' },
      });
      return true;
    });
  }

  /** Whether a token is encrypted with this key. */
  async hasSecretUnder(keyId: string): Promise<boolean> {
    const where = { tokenCiphertext: { startsWith: beginningUnder(keyId) } };
    return (await this.prisma.tenant.findFirst({ where, select: { id: true } })) !== null;
  }

  /** The account that a token belongs to: a known one when this token, or one it replaced, was seen before. */
  async findAccountId(fingerprint: Uint8Array<ArrayBuffer>): Promise<string | null> {
    const row = await this.prisma.tokenFingerprint.findUnique({ where: { fingerprint } });
    return row?.accountId ?? null;
  }
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
