import { parseJson } from '../validation/json.js';

/**
 * When a presigned URL stops working, as far as its query says; null when it says nothing or nothing that can be read.
 * Read are AWS Signature V4 and what copies it (R2, MinIO, Spaces: X-Amz-Date + X-Amz-Expires, seconds), Google V4
 * (X-Goog-…), Alibaba V4 (x-oss-…), `Expires` in unix seconds beside a signature (AWS V2, CloudFront, Google V2,
 * Alibaba V1), CloudFront's custom `Policy`, and Azure's shared access signatures (`se`). Names are compared without
 * case; of a repeated one the first counts. With several of them the earliest instant is the answer, since it is then
 * that the first of them refuses.
 */
export function presignedExpiry(url: URL): Date | null {
  if (url.search.length < 2) return null;
  const query = lowerCased(url.searchParams);
  const instants = [
    signedAtPlus(query, 'x-amz-date', 'x-amz-expires'),
    signedAtPlus(query, 'x-goog-date', 'x-goog-expires'),
    signedAtPlus(query, 'x-oss-date', 'x-oss-expires'),
    unixExpires(query),
    cloudFrontPolicy(query),
    azureEnd(query),
  ].filter((instant) => instant !== null);
  return instants.length === 0 ? null : new Date(Math.min(...instants));
}

type Query = ReadonlyMap<string, string>;

/** The last instant that a Date can hold, in milliseconds. */
const MAX_INSTANT_MS = 8_640_000_000_000_000;

/** CloudFront's policies are a few hundred bytes; URLs end long before this. */
const MAX_POLICY_LENGTH = 8_192;

function lowerCased(params: URLSearchParams): Query {
  const query = new Map<string, string>();
  for (const [name, value] of params) {
    const key = name.toLowerCase();
    if (!query.has(key)) query.set(key, value);
  }
  return query;
}

/** `20261120T090000Z` and a number of seconds. */
function signedAtPlus(query: Query, dateName: string, secondsName: string): number | null {
  const date = query.get(dateName);
  const seconds = query.get(secondsName);
  if (date === undefined || seconds === undefined || !/^\d{1,10}$/.test(seconds)) return null;
  const parts = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(date);
  const signedAtMs = parts === null ? null : utcInstant(parts.slice(1).map(Number));
  return signedAtMs === null ? null : bounded(signedAtMs + Number(seconds) * 1_000);
}

/** `Expires` means this only beside a signature; by itself it may be anything. */
function unixExpires(query: Query): number | null {
  return query.has('signature') ? unixSeconds(query.get('expires')) : null;
}

function unixSeconds(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,13}$/.test(text) ? bounded(Number(text) * 1_000) : null;
}

/** Base64 of JSON, with `-`, `_` and `~` for `+`, `=` and `/` ("Setting signed cookies and URLs with a custom policy"). */
function cloudFrontPolicy(query: Query): number | null {
  const encoded = query.get('policy');
  if (encoded === undefined || encoded.length > MAX_POLICY_LENGTH || !query.has('signature')) return null;
  // A raw `+` has become a space in the query's decoding.
  const base64 = encoded.replace(/[- ]/g, '+').replace(/_/g, '=').replace(/~/g, '/');
  const policy = parseJson(Buffer.from(base64, 'base64').toString('utf8'));
  const statements = field(policy, 'Statement');
  const instants = (Array.isArray(statements) ? statements : [])
    .map((statement) => field(field(field(statement, 'Condition'), 'DateLessThan'), 'AWS:EpochTime'))
    .map((epoch) => (typeof epoch === 'number' || typeof epoch === 'string' ? unixSeconds(String(epoch)) : null))
    .filter((instant) => instant !== null);
  return instants.length === 0 ? null : Math.min(...instants);
}

/** ISO 8601 in UTC: a date, to the minute, to the second or finer; `sig` tells it from another parameter named `se`. */
function azureEnd(query: Query): number | null {
  const end = query.get('se');
  if (end === undefined || !query.has('sig')) return null;
  const parts = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,7})?)?Z)?$/.exec(end);
  return parts === null ? null : utcInstant(parts.slice(1).map((part) => Number(part ?? 0)));
}

/** Milliseconds of a date and time in UTC, or null for one that does not exist, such as February 30. */
function utcInstant([year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0]: readonly number[]):
  number | null {
  if (hour > 23 || minute > 59 || second > 59) return null;
  const instant = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(instant);
  const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  return exists ? instant : null;
}

function bounded(instantMs: number): number | null {
  return instantMs <= MAX_INSTANT_MS ? instantMs : null;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
