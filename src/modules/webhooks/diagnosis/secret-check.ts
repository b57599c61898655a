import { failed, judged, ownerInWords, unjudged, type DiagnosisCheck } from './diagnosis-check.js';
import { MAX_SECRET_CHARS, sameBytes, withoutPrefix, type Signer } from './signing-material.js';

const KEY_BYTES = 32;

/**
 * Holds the receiver's secret against those of the tenant: whether it is one, written as it was issued, of the owner that this
 * webhook is for, and the one that signed it.
 *
 * @param signers those that sign now first
 * @param explainedBy the signers that made the webhook's signatures, the decisive one first; empty when it is not known
 * @param sentTo the owner that the gateway sent it to, if that is known
 */
export function judgeSecret(
  secret: string | null,
  signers: readonly Signer[],
  explainedBy: readonly Signer[],
  sentTo: string | null,
): DiagnosisCheck {
  if (secret === null)
    return unjudged('secret', 'No secret was pasted. Paste the one that your receiver uses to have it compared.');
  const read = readSecret(secret);
  if (typeof read === 'string') return failed('secret', read);

  const signedBy = explainedBy[0]?.owner ?? null;
  const owner = signedBy ?? sentTo;
  const same = signers.filter(({ key }) => sameBytes(key, read.key));
  const found = same.find((each) => each.owner === owner) ?? same[0];
  if (!found) return failed('secret', unknownSecret(read.key));

  const whose = ownerInWords(found.owner);
  const flaws = writingFlaws(secret, read, found);
  if (found.expired) flaws.push(`of ${whose} was rotated out and signs no more: use the current one.`);
  if (owner !== null && found.owner !== owner)
    flaws.push(`is of ${whose}; this webhook is one for ${ownerInWords(owner)}.`);
  if (signedBy === found.owner && !found.expired && !explainedBy.includes(found))
    flaws.push(`signs now, but this webhook was signed with another one of ${whose}, before a rotation.`);
  const until = found.expiresAt ? `, until ${found.expiresAt.toISOString()}: take the new one by then` : '';
  return judged(
    'secret',
    flaws.map((flaw) => `The pasted secret ${flaw}`),
    `The pasted secret signs now for ${whose}${until}.`,
  );
}

interface ReadSecret {
  /** Without spaces and quotes. */
  compact: string;
  /** Of that, what follows the prefix; hexadecimal if `isHex`. */
  base64: string;
  isHex: boolean;
  key: Buffer;
}

/** Reads a secret as leniently as its key can be told; else says why it is none. */
function readSecret(secret: string): ReadSecret | string {
  if (secret.length > MAX_SECRET_CHARS) return 'The pasted secret is far too long to be one.';
  const compact = secret.replace(/[\s"'`]/g, '');
  const base64 = withoutPrefix(compact);
  if (base64 === '') return 'The pasted secret is empty.';
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(base64))
    return 'The pasted secret is not `whsec_` and base64: copy it again, as a whole.';
  const isHex = /^[0-9a-f]{64}$/i.test(base64);
  return { compact, base64, isHex, key: Buffer.from(base64, isHex ? 'hex' : 'base64') };
}

/** How the text of the right secret differs from how it was issued. */
function writingFlaws(secret: string, { compact, base64, isHex }: ReadSecret, found: Signer): string[] {
  const flaws: string[] = [];
  if (compact !== secret) flaws.push('has spaces, line ends or quotes in it: strip them.');
  if (base64 === compact)
    flaws.push('lacks `whsec_`: libraries take it so, code that cuts off six characters does not.');
  if (isHex) flaws.push('is hexadecimal: keep it as it was issued, in base64.');
  else if (base64 !== found.key.toString('base64'))
    flaws.push('is in another alphabet or without padding: keep it as it was issued.');
  return flaws;
}

function unknownSecret(key: Buffer): string {
  const cut =
    key.length === KEY_BYTES ? '' : ` It has ${key.length} bytes where the gateway's have ${KEY_BYTES}: was it cut?`;
  return (
    `The pasted secret is none that signs for you.${cut} It may be of another tenant or endpoint, or rotated out. Read that of ` +
    '`callback_url`s at `GET /v1/webhook-secret`; an endpoint shows its own when it is created or rotated.'
  );
}
