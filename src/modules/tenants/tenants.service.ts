import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Keyring } from '../../common/crypto/keyring.js';
import { Problem } from '../../common/errors/problem.js';
import { Cursors, type Page } from '../../common/http/cursor.js';
import { DEFAULT_PAGE, type PageQuery } from '../../common/http/page.dto.js';
import { Logger } from '../../common/logging/logger.js';
import { isRefusedFor } from '../tensorpix/call-outcome.js';
import { lookUpJob } from '../tensorpix/job-lookup.js';
import { TensorpixClient } from '../tensorpix/tensorpix.client.js';
import { newApiKey, SCOPES } from './api-key.js';
import { ApiKeysStore, type ApiKeyRecord } from './api-keys.store.js';
import { KeyDirectory } from './key-directory.js';
import { ParkedJobsStore } from './parked-jobs.store.js';
import { tokenFingerprint, tokenPlace } from './tenant-token.js';
import type {
  ApiKeyResource,
  CreateApiKeyDto,
  CreatedApiKeyResource,
  CreateTenantDto,
  TenantLimitsDto,
  TenantResource,
  UpdateTenantDto,
} from './tenants.dto.js';
import { TenantsStore, type TenantLimits, type TenantRecord } from './tenants.store.js';
import type { TokenColumns, TokenStatus } from './token-columns.store.js';

const OUTCOME_UNKNOWN =
  'The outcome of a call with the present token is still unknown; the token can be replaced afterwards, or once the job is canceled.';
const NO_PROOF =
  'Another tenant shares the TensorPix account of the present token, and no job of it is known by which TensorPix could show whether the new token sees the same account. Send a job with the present token first, or create a tenant with the new token.';
const CANNOT_TELL = 'TensorPix could not tell whether the new token belongs to the same account.';

/** Tenants and their keys (contract, section 3). */
@Injectable()
export class TenantsService {
  constructor(
    private readonly tenants: TenantsStore,
    private readonly parked: ParkedJobsStore,
    private readonly apiKeys: ApiKeysStore,
    private readonly directory: KeyDirectory,
    private readonly keyring: Keyring,
    private readonly tensorpix: TensorpixClient,
    private readonly cursors: Cursors,
    private readonly logger: Logger,
  ) {}

  /** @throws Problem 400 on `tensorpix_token` when TensorPix refuses it */
  async create(dto: CreateTenantDto, verify: boolean): Promise<TenantResource> {
    const id = uuidv7();
    const status = verify ? await this.probe(dto.tensorpix_token) : 'unknown';
    const token = this.tokenColumns(id, dto.tensorpix_token, null, status);
    const limits = { maxActiveJobs: null, requestsPerMinute: null, monthlyCredits: null, ...limitsFrom(dto.limits) };
    const tenant = { id, name: dto.name, limits, callbackAllowedHosts: dto.callback_allowed_hosts ?? [], token };
    return toResource(await this.tenants.insert(tenant));
  }

  async get(id: string): Promise<TenantResource> {
    return toResource(found(await this.tenants.find(id)));
  }

  async list({ limit = DEFAULT_PAGE, cursor }: PageQuery): Promise<Page<TenantResource>> {
    const rows = await this.tenants.findPage(limit + 1, this.cursors.decode('tenants', cursor));
    return this.cursors.page('tenants', rows, limit, toResource);
  }

  /** @throws Problem 400 (token refused), 404, 409 (token of another account while jobs are under way, or nothing tells), 503 */
  async update(id: string, dto: UpdateTenantDto): Promise<TenantResource> {
    const tenant = found(await this.tenants.find(id));
    const token = dto.tensorpix_token === undefined ? undefined : await this.replacement(tenant, dto.tensorpix_token);
    const changed = await this.tenants.update(id, {
      name: dto.name,
      status: dto.status,
      limits:
        dto.limits === null
          ? { maxActiveJobs: null, requestsPerMinute: null, monthlyCredits: null }
          : limitsFrom(dto.limits),
      callbackAllowedHosts: dto.callback_allowed_hosts,
      token,
    });
    this.directory.clear();
    if (changed === 'under_way') throw anotherAccount();
    if (changed && token) await this.hurryParked(id);
    return toResource(found(changed));
  }

  /** @throws Problem 404, 409 while jobs are under way */
  async delete(id: string): Promise<void> {
    const deleted = await this.tenants.markDeleted(id);
    if (deleted === null) throw Problem.notFound('The tenant');
    if (!deleted) throw new Problem('invalid_state', 'This tenant has jobs under way.');
    this.directory.clear();
  }

  async createApiKey(tenantId: string, dto: CreateApiKeyDto): Promise<CreatedApiKeyResource> {
    found(await this.tenants.find(tenantId));
    const key = newApiKey();
    const expiresAt = dto.expires_at ? new Date(dto.expires_at) : null;
    const record = await this.apiKeys.insert(tenantId, key, {
      name: dto.name,
      scopes: dto.scopes ?? [...SCOPES],
      expiresAt,
    });
    return { ...toKeyResource(record), key: key.key };
  }

  async listApiKeys(tenantId: string, { limit = DEFAULT_PAGE, cursor }: PageQuery): Promise<Page<ApiKeyResource>> {
    found(await this.tenants.find(tenantId));
    const list = `api-keys/${tenantId}`;
    const rows = await this.apiKeys.findPage(tenantId, limit + 1, this.cursors.decode(list, cursor));
    return this.cursors.page(list, rows, limit, toKeyResource);
  }

  async revokeApiKey(tenantId: string, keyId: string): Promise<void> {
    if (!(await this.apiKeys.markRevoked(tenantId, keyId))) throw Problem.notFound('The key');
    this.directory.clear();
  }

  /** The token is replaced by now, whatever becomes of this: what is left of it is found by the sweeper. */
  private async hurryParked(id: string): Promise<void> {
    await this.parked.hurry(id).catch((error: unknown) => {
      this.logger.error({ err: error, tenant_id: id }, 'jobs that waited for another token were not made due yet');
    });
  }

  /** Asks TensorPix for the balance: the cheapest call that needs a token. */
  private async probe(token: string): Promise<TokenStatus> {
    const balance = await this.tensorpix.getBalance(token);
    if (balance.kind === 'ok') return 'valid';
    const refused = balance.kind === 'refused' && ['token_rejected', 'forbidden'].includes(balance.refusal.reason);
    if (refused) throw Problem.invalid({ tensorpix_token: ['is refused by TensorPix'] });
    return 'unknown';
  }

  /**
   * A token in place of another: of the same account when TensorPix shows it a job of that account. While TensorPix has, or may
   * have, jobs of this tenant, it must be.
   */
  private async replacement(tenant: TenantRecord, token: string): Promise<TokenColumns> {
    const status = await this.probe(token);
    const known = await this.tenants.findAccountId(tokenFingerprint(token));
    const accountId = known ?? (await this.accountShownTo(token, tenant));
    return this.tokenColumns(tenant.id, token, accountId, status);
  }

  /**
   * The tenant's account if this token sees it, null if it sees another. Whoever cannot tell must not guess: of two accounts
   * here that are one at TensorPix, either could take the other's job for its own.
   */
  private async accountShownTo(token: string, tenant: TenantRecord): Promise<string | null> {
    const { mayBeThere, isShared, proofId } = await this.tenants.findStanding(tenant);
    if (proofId === null) {
      if (mayBeThere) throw new Problem('invalid_state', OUTCOME_UNKNOWN);
      if (isShared) throw new Problem('invalid_state', NO_PROOF);
      return null;
    }
    const sees = await this.sees(token, proofId);
    if (sees === null) throw new Problem('unavailable', CANNOT_TELL, { retryAfterSeconds: 30 });
    if (sees) return tenant.accountId;
    if (mayBeThere) throw anotherAccount();
    return null;
  }

  /** Whether TensorPix shows a job to a token; null when it does not say. */
  private async sees(token: string, tensorpixId: number): Promise<boolean | null> {
    const look = await lookUpJob(this.tensorpix, token, tensorpixId);
    // What answers with another job has not shown this one.
    if (look.kind === 'ok') return look.value.id === tensorpixId ? true : null;
    return isRefusedFor(look, 'not_found') ? false : null;
  }

  private tokenColumns(tenantId: string, token: string, accountId: string | null, status: TokenStatus): TokenColumns {
    return {
      accountId,
      fingerprint: tokenFingerprint(token),
      ciphertext: this.keyring.encrypt(token, tokenPlace(tenantId)),
      last4: token.length >= 8 ? token.slice(-4) : '',
      status,
    };
  }
}

function anotherAccount(): Problem {
  return new Problem('invalid_state', 'The new token belongs to another TensorPix account than the jobs under way.');
}

function found(tenant: TenantRecord | null): TenantRecord {
  if (!tenant) throw Problem.notFound('The tenant');
  return tenant;
}

/** Only what was given. */
function limitsFrom(dto: TenantLimitsDto | null | undefined): Partial<TenantLimits> {
  if (!dto) return {};
  return {
    ...(dto.max_active_jobs !== undefined && { maxActiveJobs: dto.max_active_jobs }),
    ...(dto.requests_per_minute !== undefined && { requestsPerMinute: dto.requests_per_minute }),
    ...(dto.monthly_credits !== undefined && {
      monthlyCredits: dto.monthly_credits === null ? null : String(dto.monthly_credits),
    }),
  };
}

function toResource(tenant: TenantRecord): TenantResource {
  return {
    id: tenant.id,
    object: 'tenant',
    name: tenant.name,
    status: tenant.status,
    tensorpix_token: { last4: tenant.tokenLast4, status: tenant.tokenStatus },
    limits: {
      max_active_jobs: tenant.limits.maxActiveJobs,
      requests_per_minute: tenant.limits.requestsPerMinute,
      monthly_credits: tenant.limits.monthlyCredits,
    },
    callback_allowed_hosts: tenant.callbackAllowedHosts,
    created_at: tenant.createdAt.toISOString(),
    updated_at: tenant.updatedAt.toISOString(),
  };
}

function toKeyResource(key: ApiKeyRecord): ApiKeyResource {
  return {
    id: key.id,
    object: 'api_key',
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    expires_at: key.expiresAt?.toISOString() ?? null,
    created_at: key.createdAt.toISOString(),
  };
}
