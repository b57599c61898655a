import { createHmac, timingSafeEqual } from 'node:crypto';

const PREFIX = 'whsec_';

/** A longer text is no secret, whatever is stripped off it. */
export const MAX_SECRET_CHARS = 1_000;

/** A secret of the tenant: one that signs, or has signed. */
export interface KnownSecret {
  /** `callback_url` or an endpoint's id */
  owner: string;
  /** `whsec_…` */
  secret: string;
  /** null: the owner's current secret; in the past: it signs no more */
  expiresAt: Date | null;
}

/** A known secret with the key that is in it. */
export interface Signer extends KnownSecret {
  key: Buffer;
  expired: boolean;
}

/** What the gateway's signatures are made over: `id.seconds.body`. */
export interface SignedMaterial {
  id: string;
  /** unix seconds, in digits */
  seconds: string;
  /** The pasted body and, when it is another, the one that was sent. */
  bodies: readonly string[];
}

/** The signers of a tenant, those that sign now first. */
export function toSigners(known: readonly KnownSecret[], now: Date): Signer[] {
  const signers = known.map((each) => ({
    ...each,
    key: keyOf(each.secret),
    expired: each.expiresAt !== null && each.expiresAt <= now,
  }));
  return signers.sort((a, b) => Number(a.expired) - Number(b.expired));
}

/** The key in a secret, with or without its prefix. What is not base64 is skipped. */
export function keyOf(secret: string): Buffer {
  return Buffer.from(withoutPrefix(secret), 'base64');
}

/** The base64 text of a secret. */
export function withoutPrefix(secret: string): string {
  return secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
}

/** HMAC-SHA256, 32 bytes. */
export function hmac(key: Buffer, content: string | Buffer): Buffer {
  return createHmac('sha256', key).update(content).digest();
}

/** Equality in a time that depends on the lengths only. Nothing equals null. */
export function sameBytes(a: Buffer | null, b: Buffer): boolean {
  return a !== null && a.length === b.length && timingSafeEqual(a, b);
}
