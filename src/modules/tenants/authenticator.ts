import { Inject, Injectable } from '@nestjs/common';
import { timingSafeEqual } from 'node:crypto';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Problem } from '../../common/errors/problem.js';
import { hashApiKey, type Scope } from './api-key.js';
import type { KeyHolder } from './api-keys.store.js';
import type { CurrentTenant } from './auth.guard.js';
import { KeyDirectory } from './key-directory.js';

/** Whose key a request came with. */
export type Identity = { kind: 'admin' } | { kind: 'tenant'; holder: KeyHolder };

/** Tells whose key it is (contract, section 1). Done before a body is read, so that strangers cannot make us read one. */
@Injectable()
export class Authenticator {
  private readonly adminHash: Uint8Array;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly keys: KeyDirectory,
  ) {
    this.adminHash = hashApiKey(config.adminApiKey);
  }

  /**
   * @param header the `Authorization` header: `Bearer` and `Token` mean the same; TensorPix's clients send `Token`
   * @throws Problem 401 `unauthenticated`
   */
  async identify(header: string | undefined): Promise<Identity> {
    const key = /^(?:bearer|token) +(\S{1,512})$/i.exec(header?.trim() ?? '')?.[1];
    if (!key) throw new Problem('unauthenticated', 'Send a key as "Authorization: Bearer <key>".');
    const hash = hashApiKey(key);
    if (timingSafeEqual(hash, this.adminHash)) return { kind: 'admin' };
    const holder = await this.keys.find(hash);
    if (!holder) throw new Problem('unauthenticated', 'This key is unknown, expired or revoked.');
    return { kind: 'tenant', holder };
  }

  /**
   * Whether the key of a request that was admitted still is: for answers that go on after the guard. What has changed
   * since is known within the three seconds of the key directory.
   *
   * @throws what the database throws while it is away: then nobody knows
   */
  async stillAdmits(header: string | undefined, scope: Scope): Promise<boolean> {
    try {
      const identity = await this.identify(header);
      if (identity.kind === 'tenant') admit(identity.holder, scope);
      return identity.kind === 'tenant';
    } catch (error) {
      if (error instanceof Problem) return false;
      throw error;
    }
  }
}

/** @throws Problem 403 `forbidden` */
export function admit({ keyId, scopes, tenant }: KeyHolder, scope: Scope): CurrentTenant {
  if (tenant.status === 'suspended') throw new Problem('forbidden', 'This tenant is suspended.');
  if (!scopes.includes(scope)) throw new Problem('forbidden', `This key lacks the scope ${scope}.`);
  const { id, accountId, tokenCiphertext, callbackAllowedHosts } = tenant;
  return { id, accountId, tokenCiphertext, callbackAllowedHosts, apiKeyId: keyId };
}
