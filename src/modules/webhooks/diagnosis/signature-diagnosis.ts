import { judgeBody } from './body-comparison.js';
import type { DiagnosisCheck } from './diagnosis-check.js';
import { readHeaders, readTimestamp } from './pasted-headers.js';
import { judgeSecret } from './secret-check.js';
import { judgeSignature } from './signature-check.js';
import { readSignatures } from './signature-forms.js';
import { toSigners, type KnownSecret, type SignedMaterial } from './signing-material.js';

/** A webhook as a receiver got it, with the secret that the receiver verifies it with. */
export interface PastedWebhook {
  headers: Record<string, string>;
  body: string;
  secret?: string | undefined;
}

/** What the gateway really sent under the pasted `webhook-id`. */
export interface SentWebhook {
  /** `callback_url` or an endpoint's id */
  owner: string;
  body: string;
}

/** What is wrong with a pasted webhook. */
export interface Diagnosis {
  /** Whether a correct receiver accepts the webhook now: the signature is right and no other check fails. */
  valid: boolean;
  checks: DiagnosisCheck[];
  /** Whose secret explains the signature, over the pasted body or over the one that was sent. */
  signed_by: string | null;
}

/**
 * Tells an integrator which check of a webhook fails and why (Standard Webhooks; contract, section 7). Every check is judged
 * as far as the others leave something to judge it by: the signature of an old webhook is judged all the same.
 *
 * Pure, and never throws. The caller bounds the input. Secrets and digests are compared in constant time.
 *
 * @param known the tenant's secrets, those that have expired included where they are still there
 * @param sent null when no webhook of the tenant has the pasted id
 */
export function diagnose(
  pasted: PastedWebhook,
  known: readonly KnownSecret[],
  sent: SentWebhook | null,
  now: Date,
): Diagnosis {
  const headers = readHeaders(pasted.headers);
  const timestamp = readTimestamp(headers.timestamp, now);
  const format = readSignatures(headers.signature);
  const { id } = headers;
  const { seconds } = timestamp;
  const signers = toSigners(known, now);
  const secret = pasted.secret ?? null;
  const bodies = sent === null || sent.body === pasted.body ? [pasted.body] : [pasted.body, sent.body];
  const material: SignedMaterial | null = id === null || seconds === null ? null : { id, seconds, bodies };
  const signature = judgeSignature(format.signatures, material, signers, secret);
  const checks = [
    headers.check,
    timestamp.check,
    format.check,
    judgeSecret(secret, signers, signature.explainedBy, sent?.owner ?? null),
    judgeBody(pasted.body, sent?.body ?? null),
    signature.check,
  ];
  return {
    valid: signature.check.ok === true && checks.every(({ ok }) => ok !== false),
    checks,
    signed_by: signature.explainedBy[0]?.owner ?? null,
  };
}
