import { createHash } from 'node:crypto';
import { Problem } from '../../../common/errors/problem.js';
import { canonicalJson } from '../canonical-json.js';

/** A caller's key with the request that it stands for. */
export interface IdempotencyKey {
  /** 1 to 255 characters of printable ASCII */
  key: string;
  /** SHA-256 of the canonical request, in hex: order of fields, form of numbers and content type make no difference */
  fingerprint: string;
}

/** Contract, section 4. */
const MAX_LENGTH = 255;
const HEADER = 'Idempotency-Key';
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
/** The draft wants a quoted string (RFC 8941); what is sent without quotes means the same. */
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * Reads the header (draft-ietf-httpapi-idempotency-key-header). Null when there is none.
 *
 * @param values every `Idempotency-Key` header of the request
 * @throws Problem 400 that names the header
 */
export function readIdempotencyKey(values: string[]): string | null {
  const [value, ...more] = values;
  if (value === undefined) return null;
  if (more.length > 0) throw invalid('must be sent once');
  const key = QUOTED.exec(value)?.[1]?.replace(/\\(["\\])/g, '$1') ?? value;
  if (key.trim() === '') throw invalid('must not be empty');
  if (key.length > MAX_LENGTH) throw invalid(`must not be longer than ${MAX_LENGTH} characters`);
  if (!PRINTABLE_ASCII.test(key)) throw invalid('must be printable ASCII');
  return key;
}

/** SHA-256 of a request, in hex: what differs only in the order of its fields is the same request. */
export function fingerprintOf(request: object): string {
  return createHash('sha256').update(canonicalJson(request)).digest('hex');
}

function invalid(message: string): Problem {
  return Problem.invalid({ [HEADER]: [message] });
}
