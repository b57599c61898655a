import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import type { PagePosition } from '../../common/http/cursor.js';
import { behind, NEWEST_FIRST } from '../../common/prisma/newest-first.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import type { NewApiKey, Scope } from './api-key.js';
import type { TenantStatus } from './tenants.store.js';

export interface ApiKeyRecord {
  id: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  expiresAt: Date | null;
  createdAt: Date;
}

/** A usable key with what every request needs of its tenant. */
export interface KeyHolder {
  keyId: string;
  scopes: Scope[];
  expiresAt: Date | null;
  tenant: {
    id: string;
    status: TenantStatus;
    accountId: string;
    tokenCiphertext: string | null;
    callbackAllowedHosts: string[];
  };
}

const SHOWN = { id: true, name: true, prefix: true, scopes: true, expiresAt: true, createdAt: true } as const;

@Injectable()
export class ApiKeysStore {
  constructor(private readonly prisma: PrismaService) {}

  async insert(
    tenantId: string,
    key: NewApiKey,
    options: { name: string; scopes: Scope[]; expiresAt: Date | null },
  ): Promise<ApiKeyRecord> {
    const data = { id: uuidv7(), tenantId, prefix: key.prefix, keyHash: key.hash, ...options };
    return toRecord(await this.prisma.apiKey.create({ data, select: SHOWN }));
  }

  /** Newest first, revoked ones left out. */
  async findPage(tenantId: string, limit: number, after: PagePosition | undefined): Promise<ApiKeyRecord[]> {
    const rows = await this.prisma.apiKey.findMany({
      where: {
        tenantId,
        revokedAt: null,
        ...behind(after),
      },
      orderBy: NEWEST_FIRST,
      take: limit,
      select: SHOWN,
    });
    return rows.map(toRecord);
  }

  /** False when the tenant has no such key. */
  async markRevoked(tenantId: string, id: string): Promise<boolean> {
    const { count } = await this.prisma.apiKey.updateMany({
      where: { tenantId, id, revokedAt: null },
      data: { revokedAt: new Date() },
    });
    return count > 0;
  }

  /** Crosses tenants by nature: the key says which tenant it is. */
  async findHolderAnyTenant(keyHash: Uint8Array<ArrayBuffer>): Promise<KeyHolder | null> {
    const row = await this.prisma.apiKey.findFirst({
      where: { keyHash, revokedAt: null, tenant: { deletedAt: null } },
      select: {
        id: true,
        scopes: true,
        expiresAt: true,
        tenant: {
          select: { id: true, status: true, accountId: true, tokenCiphertext: true, callbackAllowedHosts: true },
        },
      },
    });
    if (!row) return null;
    const { id: keyId, scopes, expiresAt, tenant } = row;
    return {
      keyId,
      scopes: scopes as Scope[],
      expiresAt,
      tenant: { ...tenant, status: tenant.status as TenantStatus },
    };
  }
}

function toRecord(row: Omit<ApiKeyRecord, 'scopes'> & { scopes: string[] }): ApiKeyRecord {
  return { ...row, scopes: row.scopes as Scope[] };
}
