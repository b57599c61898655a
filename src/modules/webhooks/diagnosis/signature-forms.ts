import { unjudged, type DiagnosisCheck } from './diagnosis-check.js';

const DIGEST_BYTES = 32;
/** A rotation makes two or three. More are not looked at, so that the work stays bounded. */
const MAX_SIGNATURES = 20;

/** One of the signatures in `webhook-signature`. */
export interface ReadSignature {
  /** Counted from 1. */
  position: number;
  /** null: it is of another version, or its bytes cannot be told */
  bytes: Buffer | null;
  /** Why it is not `v1,<base64 of 32 bytes>`: ends of sentences that begin with "Signature 1 ". */
  flaws: string[];
}

/**
 * Reads `webhook-signature`, and the bytes of signatures whose form is wrong wherever they can be told, so that those are
 * judged too. The check is content with one signature that is well formed, as a receiver is.
 */
export function readSignatures(text: string | null): { check: DiagnosisCheck; signatures: ReadSignature[] } {
  if (text === null) return { signatures: [], check: unjudged('signature_format', 'There is no webhook-signature.') };
  // A receiver splits at single spaces, and skips what it does not understand.
  const parts = text.split(' ').filter((part) => part !== '');
  const signatures = parts.slice(0, MAX_SIGNATURES).map((part, i) => readSignature(part, i + 1));
  const good = signatures.filter(isWellFormed).length;
  const sentences = [
    `${good} of ${signatures.length} signatures ${good === 1 ? 'has' : 'have'} the form \`v1,<base64 of 32 bytes>\`.`,
    ...signatures.flatMap(({ position, flaws }) => flaws.map((flaw) => `Signature ${position} ${flaw}`)),
  ];
  if (parts.length > MAX_SIGNATURES) sentences.push(`Only the first ${MAX_SIGNATURES} signatures were looked at.`);
  return { signatures, check: { name: 'signature_format', ok: good > 0, detail: sentences.join(' ') } };
}

/** Whether a receiver compares the signature: it has the form that the standard wants. */
export function isWellFormed({ flaws }: ReadSignature): boolean {
  return flaws.length === 0;
}

function readSignature(part: string, position: number): ReadSignature {
  const isV1 = part.startsWith('v1,');
  if (!isV1 && /^v\d{1,3}[a-z]?,/i.test(part))
    return { position, bytes: null, flaws: ['is of another version than v1, and is skipped.'] };
  const { bytes, flaws } = readDigest(part.replace(/^(v\d{1,3}[a-z]?|sha256)[,=:]/i, ''));
  return { position, bytes, flaws: isV1 ? flaws : ['does not begin with `v1,`.', ...flaws] };
}

function readDigest(text: string): Pick<ReadSignature, 'bytes' | 'flaws'> {
  const illegible = (flaw: string): Pick<ReadSignature, 'bytes' | 'flaws'> => ({ bytes: null, flaws: [flaw] });
  if (/^[0-9a-f]{64}$/i.test(text)) return { bytes: Buffer.from(text, 'hex'), flaws: ['is hexadecimal, not base64.'] };
  if (text.includes(',')) return illegible('has a second comma in it: several signatures are separated by a space.');
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return illegible('is not base64.');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== DIGEST_BYTES)
    return illegible(`is of ${bytes.length} bytes, not of ${DIGEST_BYTES}: it was cut, or is no HMAC-SHA256.`);
  const flaws: string[] = [];
  if (/[-_]/.test(text)) flaws.push('is url-safe base64: the standard alphabet has `+` and `/`.');
  if (!text.endsWith('=')) flaws.push('lacks the padding `=` at its end.');
  // Two bits of the last character are unused. Receivers compare texts, so that they must be zero, as an encoder leaves them.
  const standard = text.replace(/-/g, '+').replace(/_/g, '/');
  if (![standard, `${standard}=`].includes(bytes.toString('base64')))
    flaws.push('does not end as the base64 of 32 bytes does: it was changed.');
  return { bytes, flaws };
}
