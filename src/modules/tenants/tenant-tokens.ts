import { Injectable } from '@nestjs/common';
import { Keyring } from '../../common/crypto/keyring.js';
import { Logger } from '../../common/logging/logger.js';
import { tokenPlace } from './tenant-token.js';
import { TenantsStore } from './tenants.store.js';

/** A tenant's TensorPix token, opened for one call. */
export interface OpenToken {
  token: string;
  ciphertext: string;
}

/** Opens tokens for the moment of a call, and keeps what TensorPix says of them. */
@Injectable()
export class TenantTokens {
  constructor(
    private readonly keyring: Keyring,
    private readonly tenants: TenantsStore,
    private readonly logger: Logger,
  ) {}

  /** @throws DecryptionError when no configured key opens it */
  open(tenantId: string, ciphertext: string): OpenToken {
    return { token: this.keyring.decrypt(ciphertext, tokenPlace(tenantId)), ciphertext };
  }

  /** TensorPix refused this token: shown in the tenant's resource until it is replaced or works again. */
  async noteRejected(tenantId: string, { ciphertext }: OpenToken): Promise<void> {
    this.logger.warn({ tenant_id: tenantId }, 'TensorPix rejects the token of this tenant');
    await this.tenants.markToken(tenantId, ciphertext, 'rejected');
  }

  async noteValid(tenantId: string, { ciphertext }: OpenToken): Promise<void> {
    await this.tenants.markToken(tenantId, ciphertext, 'valid');
  }
}
