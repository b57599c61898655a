import { createHash } from 'node:crypto';
import type { CiphertextPlace } from '../../common/crypto/keyring.js';

/** Where a tenant's TensorPix token is stored, for the additional data of its ciphertext. */
export function tokenPlace(tenantId: string): CiphertextPlace {
  return { table: 'tenants', column: 'token_ciphertext', owner: tenantId };
}

/** SHA-256 of a token: equal tokens belong to one TensorPix account. */
export function tokenFingerprint(token: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(token).digest());
}

/** What may stand in an HTTP header after `Token `. */
export const TOKEN_PATTERN = /^[\x21-\x7e]+$/;
