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
  /** from the look-up on, by the database's clock; null: it does not expire */
  expiresInMs: number | null;
  tenant: {
    id: string;
    status: TenantStatus;
    accountId: string;
    tokenCiphertext: string | null;
    callbackAllowedHosts: string[];
  };
}

type HolderRow = Omit<KeyHolder, 'tenant'> & KeyHolder['tenant'];

const SHOWN = { id: true, name: true, prefix: true, scopes: true, expiresAt: true, createdAt: true } as const;

/** The tenants' keys, by their hashes. */
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

  /** Crosses tenants by nature: the key says which tenant it is. Null when it is unknown, expired or revoked. */
  async findHolderAnyTenant(keyHash: Uint8Array<ArrayBuffer>): Promise<KeyHolder | null> {
    const [row] = await this.prisma.$queryRaw<HolderRow[]>`
      select k.id as "keyId", k.scopes, (extract(epoch from k.expires_at - now()) * 1000)::float8 as "expiresInMs",
             t.id, t.status, t.account_id as "accountId", t.token_ciphertext as "tokenCiphertext",
             t.callback_allowed_hosts as "callbackAllowedHosts"
        from api_keys k
        join tenants t on t.id = any(array[k.tenant_id]) and t.deleted_at is null
       where k.key_hash = ${keyHash}::bytea and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())`;
    if (!row) return null;
    const { keyId, scopes, expiresInMs, ...tenant } = row;
    return { keyId, scopes, expiresInMs, tenant };
  }
}

function toRecord(row: Omit<ApiKeyRecord, 'scopes'> & { scopes: string[] }): ApiKeyRecord {
  return { ...row, scopes: row.scopes as Scope[] };
}
