import { Injectable } from '@nestjs/common';
import { Keyring } from '../../common/crypto/keyring.js';
import { Logger } from '../../common/logging/logger.js';
import { tokenPlace } from './tenant-token.js';
import { TenantsStore } from './tenants.store.js';

/** The token with which something was learned of a tenant, as the tenant had it then. */
export interface UsedToken {
  ciphertext: string;
}

/** A tenant's TensorPix token, opened for one call. */
export interface OpenToken extends UsedToken {
  token: string;
}

/** How long it is taken for granted that the tenant's resource says "valid". */
const NOTED_MS = 30_000;
const MAX_NOTED = 10_000;

/** Opens tokens for the moment of a call, and keeps what TensorPix says of them. */
@Injectable()
export class TenantTokens {
  private readonly notedValidAtMs = new Map<string, number>();

  constructor(
    private readonly keyring: Keyring,
    private readonly tenants: TenantsStore,
    private readonly logger: Logger,
  ) {}

  /** Null when there is no such tenant, or it has been deleted. */
  ciphertextOf(tenantId: string): Promise<string | null> {
    return this.tenants.findTokenCiphertext(tenantId);
  }

  /** @throws DecryptionError when no configured key opens it */
  open(tenantId: string, ciphertext: string): OpenToken {
    return { token: this.keyring.decrypt(ciphertext, tokenPlace(tenantId)), ciphertext };
  }

  /** TensorPix refused this token: shown in the tenant's resource until it is replaced or works again. */
  async noteRejected(tenantId: string, { ciphertext }: UsedToken): Promise<void> {
    this.logger.warn({ tenant_id: tenantId }, 'TensorPix rejects the token of this tenant');
    this.notedValidAtMs.delete(ciphertext);
    await this.tenants.markToken(tenantId, ciphertext, 'rejected');
  }

  /** TensorPix took this token. Written now and then only, because it is true of almost every call. */
  async noteValid(tenantId: string, { ciphertext }: UsedToken): Promise<void> {
    const notedAtMs = this.notedValidAtMs.get(ciphertext);
    if (notedAtMs !== undefined && performance.now() - notedAtMs < NOTED_MS) return;
    if (this.notedValidAtMs.size >= MAX_NOTED) this.notedValidAtMs.clear();
    this.notedValidAtMs.set(ciphertext, performance.now());
    await this.tenants.markToken(tenantId, ciphertext, 'valid');
  }
}
