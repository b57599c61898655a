import { createHmac, timingSafeEqual } from 'node:crypto';

/** A webhook as a receiver got it, with the secret that the receiver verifies it with. */
export interface PastedWebhook {
  headers: Record<string, string>;
  body: string;
  secret?: string | undefined;
}

/** A secret of the tenant: one that signs, or has signed. */
export interface KnownSecret {
  /** `callback_url` or an endpoint's id */
  owner: string;
  /** `whsec_…` */
  secret: string;
  /** null: the owner's current secret; in the past: it signs no more */
  expiresAt: Date | null;
}

/** What the gateway really sent under the pasted `webhook-id`. */
export interface SentWebhook {
  /** `callback_url` or an endpoint's id */
  owner: string;
  body: string;
}

export interface DiagnosisCheck {
  name: 'headers' | 'timestamp' | 'signature_format' | 'secret' | 'body' | 'signature';
  /** null: there was nothing to judge it by */
  ok: boolean | null;
  /** A sentence or a few for the integrator; never has a secret or a part of the body in it. */
  detail: string;
}

export interface Diagnosis {
  /** Whether a correct receiver accepts the webhook now: the signature is right and no other check fails. */
  valid: boolean;
  checks: DiagnosisCheck[];
  /** Whose secret explains the signature, over the pasted body or over the one that was sent. */
  signed_by: string | null;
}

/** What the standard and its libraries allow between the receiver's clock and `webhook-timestamp`. */
const TOLERANCE_SECONDS = 300;
/** A replica notices late that a secret has expired (it caches for seconds), and clocks differ. */
const RETIREMENT_SLACK_MS = 60_000;
const DIGEST_BYTES = 32;
const KEY_BYTES = 32;
/** A rotation makes two or three. More are not looked at, so that the work stays bounded. */
const MAX_SIGNATURES = 20;
/** The gateway's bodies stay under 20 kB; usual mistakes, which are many, are not tried on what is no body of its. */
const MAX_MISTAKEN_CHARS = 20_480;
/** A longer text is no secret, whatever is stripped off it. */
const MAX_SECRET_CHARS = 1_000;
const PREFIX = 'whsec_';
const BYTE_ORDER_MARK = '\uFEFF';
const RAW_BODY_ADVICE = 'Verify the bytes as they came, before a JSON parser or a framework touches them.';

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
  const material: Material = {
    id: headers.id,
    seconds: timestamp.seconds,
    signatures: format.signatures,
    bodies: sent === null || sent.body === pasted.body ? [pasted.body] : [pasted.body, sent.body],
    signers: toSigners(known, now),
    secret: pasted.secret ?? null,
  };
  const signature = judgeSignature(material);
  const secret = judgeSecret(material, signature.signer, sent?.owner ?? null);
  const checks = [
    headers.check,
    timestamp.check,
    format.check,
    secret,
    judgeBody(pasted.body, sent?.body ?? null),
    signature.check,
  ];
  return {
    valid: signature.check.ok === true && checks.every(({ ok }) => ok !== false),
    checks,
    signed_by: signature.signer?.owner ?? null,
  };
}

/** What signatures are judged by. */
interface Material {
  id: string | null;
  /** The timestamp that was signed. */
  seconds: string | null;
  signatures: readonly ReadSignature[];
  /** The pasted body and, when it is another, the one that was sent. */
  bodies: readonly string[];
  /** Those that sign now first. */
  signers: readonly Signer[];
  secret: string | null;
}

interface Signer extends KnownSecret {
  key: Buffer;
  expired: boolean;
}

function toSigners(known: readonly KnownSecret[], now: Date): Signer[] {
  const signers = known.map((each) => ({
    ...each,
    key: decode(each.secret),
    expired: each.expiresAt !== null && each.expiresAt <= now,
  }));
  return signers.sort((a, b) => Number(a.expired) - Number(b.expired));
}

// ---- the headers

interface ReadHeaders {
  check: DiagnosisCheck;
  id: string | null;
  timestamp: string | null;
  signature: string | null;
}

/** Finds the three headers. Spaces around them fail the check, because a signed id has none, but hinder nothing else. */
function readHeaders(pasted: Record<string, string>): ReadHeaders {
  const problems: string[] = [];
  const read = (wanted: string): string | null => {
    const found = Object.entries(pasted).filter(([name]) => name.trim().toLowerCase() === wanted);
    const values = new Set(found.map(([, value]) => value.trim()));
    const [value] = values;
    if (value === undefined)
      problems.push(`${wanted} is missing: something between the gateway and your code drops it.`);
    else if (values.size > 1) problems.push(`${wanted} is there more than once, with different values.`);
    else if (value === '') problems.push(`${wanted} is empty.`);
    else if (found.some((pair) => pair.some((text) => text !== text.trim())))
      problems.push(`${wanted} has spaces around it: strip them, as HTTP does. The other checks ignore them.`);
    return value === undefined || value === '' ? null : value;
  };
  const [id, timestamp, signature] = [read('webhook-id'), read('webhook-timestamp'), read('webhook-signature')];
  const check = judged('headers', problems, 'webhook-id, webhook-timestamp and webhook-signature are there.');
  return { check, id, timestamp, signature };
}

// ---- the timestamp

interface ReadTimestamp {
  check: DiagnosisCheck;
  /** The digits that the gateway signs, where they can be told. */
  seconds: string | null;
}

function readTimestamp(text: string | null, now: Date): ReadTimestamp {
  if (text === null) return { seconds: null, check: unjudged('timestamp', 'There is no webhook-timestamp.') };
  if (!/^(0|[1-9]\d{0,10})$/.test(text)) return misreadTimestamp(text);
  const ageSeconds = Math.floor(now.getTime() / 1_000) - Number(text);
  const problems: string[] = [];
  if (ageSeconds > TOLERANCE_SECONDS)
    problems.push(
      `webhook-timestamp is ${duration(ageSeconds)} old; receivers allow ${TOLERANCE_SECONDS} seconds. If you paste an old ` +
        'delivery, that is to be expected: the other checks are judged all the same. If it was refused when it came, the ' +
        "receiver's clock is ahead, or the request waited in a queue before it was verified.",
    );
  if (ageSeconds < -TOLERANCE_SECONDS)
    problems.push(
      `webhook-timestamp is ${duration(-ageSeconds)} in the future; receivers allow ${TOLERANCE_SECONDS} seconds. The ` +
        "gateway's clock is ahead, or the header was changed. A receiver whose clock is behind sees the same.",
    );
  return {
    seconds: text,
    check: judged('timestamp', problems, `webhook-timestamp is within ${TOLERANCE_SECONDS} seconds of now.`),
  };
}

/** What else people take for unix seconds. Where the seconds can be told from it, the signature is judged with them. */
function misreadTimestamp(text: string): ReadTimestamp {
  const { what, seconds } = foreignTimestamp(text);
  const judgedWith = seconds === null ? '' : ` The signature is judged with ${seconds}.`;
  const detail = `webhook-timestamp ${what}; it has to be a whole number of unix seconds, as the gateway sent it.${judgedWith}`;
  return { seconds, check: { name: 'timestamp', ok: false, detail } };
}

function foreignTimestamp(text: string): { what: string; seconds: string | null } {
  if (/^[1-9]\d{11,19}$/.test(text)) {
    // Ten digits are seconds until the year 2286; the units of thousandths each add three.
    const [unit, digits] =
      text.length < 15 ? ['milliseconds', 3] : text.length < 18 ? ['microseconds', 6] : ['nanoseconds', 9];
    return { what: `is in ${unit}`, seconds: text.slice(0, -digits) };
  }
  if (/^[1-9]\d{0,10}\.\d{1,20}$/.test(text))
    return { what: 'has a fraction', seconds: text.slice(0, text.indexOf('.')) };
  const looksLikeDate = /^(\d{4}-\d\d-\d\d|[A-Z][a-z]{2}\b).{0,40}$/.test(text);
  const ms = looksLikeDate ? Date.parse(text) : NaN;
  if (ms > 0) return { what: 'is a date', seconds: String(Math.floor(ms / 1_000)) };
  return { what: 'is not such a number', seconds: null };
}

function duration(seconds: number): string {
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} minutes`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} hours` : `${Math.floor(seconds / 86_400)} days`;
}

// ---- the form of the signatures

interface ReadSignature {
  /** Counted from 1. */
  position: number;
  /** null: it is of another version, or its bytes cannot be told */
  bytes: Buffer | null;
  version: 'v1' | 'unknown';
  /** Why it is not `v1,<base64 of 32 bytes>`. */
  flaws: string[];
}

function readSignatures(text: string | null): { check: DiagnosisCheck; signatures: ReadSignature[] } {
  if (text === null) return { signatures: [], check: unjudged('signature_format', 'There is no webhook-signature.') };
  // A receiver splits at single spaces, and skips what it does not understand.
  const parts = text.split(' ').filter((part) => part !== '');
  const signatures = parts.slice(0, MAX_SIGNATURES).map((part, i) => readSignature(part, i + 1));
  const good = signatures.filter(isWellFormed).length;
  const remarks = signatures.flatMap(({ position, version, flaws }) => [
    ...(version === 'unknown' ? [`Signature ${position} is of another version than v1, and is skipped.`] : []),
    ...flaws.map((flaw) => `Signature ${position} ${flaw}`),
  ]);
  if (parts.length > MAX_SIGNATURES) remarks.push(`Only the first ${MAX_SIGNATURES} signatures were looked at.`);
  const summary =
    good === 0
      ? 'No signature has the form `v1,<base64 of 32 bytes>`.'
      : `${good} of ${signatures.length} signatures ${good === 1 ? 'has' : 'have'} the form \`v1,<base64 of 32 bytes>\`.`;
  return { signatures, check: { name: 'signature_format', ok: good > 0, detail: [summary, ...remarks].join(' ') } };
}

function isWellFormed({ bytes, flaws }: ReadSignature): boolean {
  return bytes !== null && flaws.length === 0;
}

function readSignature(part: string, position: number): ReadSignature {
  const [, label = '', value = ''] = /^(?:(v1|v\d{1,3}[a-z]?|sha256)[,=:])?(.*)$/is.exec(part) ?? [];
  if (part.startsWith(`${label},`) && /^v/i.test(label) && label !== 'v1')
    return { position, bytes: null, version: 'unknown', flaws: [] };
  const { bytes, flaws } = readDigest(value);
  if (!part.startsWith('v1,')) flaws.unshift('does not begin with `v1,`.');
  return { position, bytes, version: 'v1', flaws };
}

function readDigest(text: string): { bytes: Buffer | null; flaws: string[] } {
  if (/^[0-9a-f]{64}$/i.test(text)) return { bytes: Buffer.from(text, 'hex'), flaws: ['is hexadecimal, not base64.'] };
  if (text.includes(','))
    return { bytes: null, flaws: ['has a second comma in it: several signatures are separated by a space.'] };
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return { bytes: null, flaws: ['is not base64.'] };
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== DIGEST_BYTES)
    return {
      bytes: null,
      flaws: [`is of ${bytes.length} bytes, not of ${DIGEST_BYTES}: it was cut, or is no HMAC-SHA256.`],
    };
  const flaws: string[] = [];
  if (/[-_]/.test(text)) flaws.push('is url-safe base64: the standard alphabet has `+` and `/`.');
  if (!text.endsWith('=')) flaws.push('lacks the padding `=` at its end.');
  // Two bits of the last character are unused. Receivers compare texts, so that they must be zero, as an encoder leaves them.
  const rewritten = text.replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, '') + '=';
  if (rewritten !== bytes.toString('base64') || text.endsWith('=='))
    flaws.push('does not end as the base64 of 32 bytes does: it was changed.');
  return { bytes, flaws };
}

// ---- the signature itself

/** A signature that a secret of the tenant explains. */
interface Match {
  signer: Signer;
  /** It fits the body that was sent, not the pasted one. */
  altered: boolean;
  wellFormed: boolean;
}

function judgeSignature(material: Material): { check: DiagnosisCheck; signer: Signer | null } {
  const { id, seconds, signers, bodies } = material;
  const signatures = material.signatures.filter(({ bytes }) => bytes !== null);
  if (id === null || seconds === null || signatures.length === 0)
    return {
      signer: null,
      check: unjudged('signature', 'The headers leave nothing to compute or nothing to compare.'),
    };

  const expected = bodies.flatMap((body, i) => {
    const content = Buffer.from(`${id}.${seconds}.${body}`);
    return signers.map((signer) => ({ signer, altered: i > 0, digest: hmac(signer.key, content) }));
  });
  const matches = expected.flatMap(({ digest, ...rest }) =>
    signatures
      .filter(({ bytes }) => sameBytes(bytes, digest))
      .map((signature) => ({ ...rest, wellFormed: isWellFormed(signature) })),
  );
  const unexplained = signatures.filter(({ bytes }) => !expected.some(({ digest }) => sameBytes(bytes, digest)));
  const mistakes = findMistakes(unexplained, material);
  const match = matches.find(({ wellFormed }) => wellFormed) ?? matches[0];
  if (!match) {
    const detail = mistakes.length > 0 ? mistakes.join(' ') : NO_SIGNER;
    return { signer: null, check: { name: 'signature', ok: false, detail } };
  }
  const flaw = flawOf(match, Number(seconds) * 1_000);
  const verdict = flaw ?? `The signature is right. It is made with a secret of ${nameOf(match.signer.owner)}.`;
  return {
    signer: match.signer,
    check: { name: 'signature', ok: flaw === null, detail: [verdict, ...mistakes].join(' ') },
  };
}

const NO_SIGNER =
  'No secret of yours explains the signature: it is made with another one (of another tenant, another gateway or before a ' +
  'rotation), the id, the timestamp or the body was changed after it was signed, or it is forged.';

/** Why a signature of the tenant's is not one that a receiver accepts with the pasted body; null when it is. */
function flawOf({ signer, altered, wellFormed }: Match, signedAtMs: number): string | null {
  const whose = `a secret of ${nameOf(signer.owner)}`;
  if (altered)
    return (
      `The signature is made with ${whose} and fits the body that the gateway sent, not the pasted one: the body was ` +
      'changed on the way, by your code or by pasting; see the check `body`.'
    );
  if (!wellFormed)
    return `The bytes of the signature are right, made with ${whose}, but not written as they must be: see \`signature_format\`.`;
  if (signer.expiresAt !== null && signedAtMs > signer.expiresAt.getTime() + RETIREMENT_SLACK_MS)
    return `The signature is made with ${whose} that had expired by then: the gateway did not make it.`;
  return null;
}

/**
 * What other people's code does to compute a signature, for signatures that are not right: an integrator can paste the value
 * of their own code beside the gateway's.
 */
function findMistakes(unexplained: readonly ReadSignature[], material: Material): string[] {
  const { bodies, signers, secret } = material;
  if (unexplained.length === 0 || bodies.some(({ length }) => length > MAX_MISTAKEN_CHARS)) return [];
  const secrets = signers.map((signer) => ({ text: signer.secret, known: true }));
  if (secret !== null && secret.length <= MAX_SECRET_CHARS) secrets.push({ text: secret, known: false });
  const trials = secrets.flatMap(({ text, known }) =>
    keysOf(text, known).flatMap(({ key, keyMistake }) =>
      contentsOf(material).map(({ content, contentMistake }) => ({
        digest: hmac(key, content),
        mistake: `${keyMistake}${contentMistake}`,
      })),
    ),
  );
  return unexplained.flatMap(({ bytes, position }) => {
    const trial = trials.find(({ digest }) => sameBytes(bytes, digest));
    return trial ? [`Signature ${position} is an HMAC${trial.mistake}.`] : [];
  });
}

function keysOf(text: string, known: boolean): { key: Buffer; keyMistake: string }[] {
  const advice = '; the key is the bytes that the base64 after `whsec_` decodes to';
  return [
    { key: decode(text), keyMistake: known ? '' : ' with the pasted secret, which the gateway does not sign with' },
    { key: Buffer.from(text), keyMistake: ` with the whole text of the secret as its key${advice}` },
    {
      key: Buffer.from(withoutPrefix(text)),
      keyMistake: ` with the base64 text of the secret as its key, undecoded${advice}`,
    },
    { key: Buffer.from(text, 'base64'), keyMistake: ` with \`whsec_\` decoded along as if it were base64${advice}` },
  ];
}

function contentsOf({ id, seconds, bodies }: Material): { content: string; contentMistake: string }[] {
  const advice = '; signed is `id.timestamp.body`';
  return bodies.flatMap((body) => [
    { content: `${id}.${seconds}.${body}`, contentMistake: '' },
    { content: body, contentMistake: ` over the body alone${advice}` },
    { content: `${seconds}.${body}`, contentMistake: ` over \`timestamp.body\`, without the id${advice}` },
  ]);
}

// ---- the receiver's secret

/** @param signer whose secret made the signature, if that is known */
function judgeSecret(material: Material, signer: Signer | null, sentTo: string | null): DiagnosisCheck {
  const { secret, signers } = material;
  if (secret === null)
    return unjudged('secret', 'No secret was pasted. Paste the one that your receiver uses to have it compared.');
  const wrong = (detail: string): DiagnosisCheck => ({ name: 'secret', ok: false, detail });
  if (secret.length > MAX_SECRET_CHARS) return wrong('The pasted secret is far too long to be one.');
  const compact = secret.replace(/[\s"'`]/g, '');
  const base64 = withoutPrefix(compact);
  if (base64 === '') return wrong('The pasted secret is empty.');
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(base64))
    return wrong('The pasted secret is not `whsec_` and base64: copy it again, as a whole.');

  const isHex = /^[0-9a-f]{64}$/i.test(base64);
  const key = Buffer.from(base64, isHex ? 'hex' : 'base64');
  const owner = signer?.owner ?? sentTo;
  const same = signers.filter((each) => sameBytes(each.key, key));
  const found = same.find((each) => each.owner === owner) ?? same[0];
  if (!found) return wrong(unknownSecret(key));

  const whose = nameOf(found.owner);
  const flaws: (string | false)[] = [
    compact !== secret && 'has spaces, line ends or quotes in it: strip them.',
    base64 === compact && 'lacks `whsec_`: libraries take it so, code that cuts off six characters does not.',
    isHex && 'is hexadecimal: keep it as it was issued, in base64.',
    !isHex &&
      base64 !== found.key.toString('base64') &&
      'is in another alphabet or without padding: keep it as issued.',
    found.expired && `of ${whose} was rotated out and signs no more: use the current one.`,
    owner !== null && found.owner !== owner && `is of ${whose}; this webhook is one for ${nameOf(owner)}.`,
    signer?.owner === found.owner &&
      !found.expired &&
      !fitsAny(key, material) &&
      `signs now, but this webhook was signed with another one of ${whose}, before a rotation.`,
  ];
  const problems = flaws.filter((flaw) => flaw !== false).map((flaw) => `The pasted secret ${flaw}`);
  const until = found.expiresAt ? `, until ${found.expiresAt.toISOString()}: take the new one by then` : '';
  return judged('secret', problems, `The pasted secret signs now for ${whose}${until}.`);
}

function unknownSecret(key: Buffer): string {
  const cut =
    key.length === KEY_BYTES ? '' : ` It has ${key.length} bytes where the gateway's have ${KEY_BYTES}: was it cut?`;
  return (
    `The pasted secret is none that signs for you.${cut} It may be of another tenant or endpoint, or rotated out. Read that of ` +
    '`callback_url`s at `GET /v1/webhook-secret`; an endpoint shows its own when it is created or rotated.'
  );
}

function fitsAny(key: Buffer, { id, seconds, bodies, signatures }: Material): boolean {
  const digests = bodies.map((body) => hmac(key, `${id}.${seconds}.${body}`));
  return signatures.some(({ bytes }) => digests.some((digest) => sameBytes(bytes, digest)));
}

// ---- the body

function judgeBody(pasted: string, sent: string | null): DiagnosisCheck {
  if (sent === pasted) return judged('body', [], 'The body is, byte for byte, the one that was sent.');
  const obvious = pasted === '' ? 'The pasted body is empty: something has read it before your code.' : null;
  if (sent !== null) return { name: 'body', ok: false, detail: obvious ?? differenceOf(pasted, sent) };
  if (parseJson(pasted) === undefined)
    return {
      name: 'body',
      ok: false,
      detail: obvious ?? 'The pasted body is not JSON, as every body of the gateway is.',
    };
  return unjudged(
    'body',
    'No webhook with this webhook-id is known (any more) for you, so that the body cannot be compared.',
  );
}

/** How a body differs from the one that was sent, in the most telling way. */
function differenceOf(pasted: string, sent: string): string {
  const sizes = `${Buffer.byteLength(pasted)} bytes rather than ${Buffer.byteLength(sent)}`;
  if (pasted === BYTE_ORDER_MARK + sent)
    return `The body begins with a byte order mark that was not sent. ${RAW_BODY_ADVICE}`;
  if (pasted.trim() === sent)
    return 'The body has a line end or spaces around it that were not sent; an editor, a shell or a line reader adds them.';
  if (sent.startsWith(pasted)) return `The body was cut off: ${sizes}. Read it to its end.`;
  if (Buffer.from(pasted, 'latin1').toString() === sent)
    return `The body was decoded as Latin-1; its text is UTF-8. ${RAW_BODY_ADVICE}`;
  const [value, original] = [parseJson(pasted), parseJson(sent)];
  if (value === sent) return `The body was encoded once more, as a JSON string. ${RAW_BODY_ADVICE}`;
  if (value === undefined || original === undefined || !sameJson(value, original))
    return `The body has another content than the one sent under this webhook-id (${sizes}).`;
  return `The body has the same content, but was parsed and written again: ${rewriteOf(pasted, sent)}. ${RAW_BODY_ADVICE}`;
}

/** What is different in two texts of the same JSON value. */
function rewriteOf(pasted: string, sent: string): string {
  if (withoutWhitespace(pasted) === withoutWhitespace(sent)) return 'the whitespace between its parts differs';
  if (JSON.stringify(parseJson(pasted)) !== JSON.stringify(parseJson(sent))) return 'its keys are in another order';
  return 'its characters or numbers are written otherwise, for example as `\\u` escapes';
}

/** The value of a JSON text; undefined, which JSON has not, when it is none. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Equality of JSON values without regard to the order of keys. It goes no deeper than the shallower of the two. */
function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [entries, others] = [Object.entries(a), new Map<string, unknown>(Object.entries(b))];
  return (
    entries.length === others.size &&
    entries.every(([key, value]) => others.has(key) && sameJson(value, others.get(key)))
  );
}

/** A JSON text without the whitespace outside of its strings. */
function withoutWhitespace(json: string): string {
  let quoted = false;
  let kept = '';
  for (let i = 0; i < json.length; i += 1) {
    const char = json.charAt(i);
    if (char === '"') quoted = !quoted;
    if (quoted && char === '\\') kept += char + json.charAt((i += 1));
    else if (quoted || !/\s/.test(char)) kept += char;
  }
  return kept;
}

// ---- odds and ends

function judged(name: DiagnosisCheck['name'], problems: string[], fine: string): DiagnosisCheck {
  return problems.length > 0 ? { name, ok: false, detail: problems.join(' ') } : { name, ok: true, detail: fine };
}

function unjudged(name: DiagnosisCheck['name'], detail: string): DiagnosisCheck {
  return { name, ok: null, detail };
}

function nameOf(owner: string): string {
  return owner === 'callback_url' ? 'your `callback_url`s' : `the endpoint ${owner}`;
}

function withoutPrefix(secret: string): string {
  return secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
}

function decode(secret: string): Buffer {
  return Buffer.from(withoutPrefix(secret), 'base64');
}

function hmac(key: Buffer, content: string | Buffer): Buffer {
  return createHmac('sha256', key).update(content).digest();
}

/** In a time that depends on the lengths only. */
function sameBytes(a: Buffer | null, b: Buffer): boolean {
  return a !== null && a.length === b.length && timingSafeEqual(a, b);
}
