import { hash, randomBytes } from 'node:crypto';

/** What a tenant key may do (contract, section 1). A key without scopes may do all of it. */
export const SCOPES = [
  'jobs:write',
  'jobs:read',
  'images:write',
  'images:read',
  'webhooks:write',
  'webhooks:read',
  'usage:read',
] as const;

export type Scope = (typeof SCOPES)[number];

const KEY_BYTES = 32;
const PREFIX_LENGTH = 12;

export interface NewApiKey {
  /** `tpg_` and 256 random bits; shown once, never stored */
  key: string;
  /** its first characters, to recognise it by */
  prefix: string;
  hash: Uint8Array<ArrayBuffer>;
}

/** 256 random bits; shown once, stored as a hash. */
export function newApiKey(): NewApiKey {
  const key = `tpg_${randomBytes(KEY_BYTES).toString('base64url')}`;
  return { key, prefix: key.slice(0, PREFIX_LENGTH), hash: hashApiKey(key) };
}

/** The key has 256 random bits, so that a plain hash cannot be guessed backwards. */
export function hashApiKey(key: string): Uint8Array<ArrayBuffer> {
  // A third of what createHash costs, and done for every request.
  return new Uint8Array(hash('sha256', key, 'buffer'));
}
