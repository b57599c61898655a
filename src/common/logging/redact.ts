const REDACTED = '[redacted]';
const MAX_DEPTH = 8;
/** Of an error that stands for several. */
const MAX_ERRORS = 10;

/** Keys whose values never reach a log, whatever they hold: these, and all that end so. Lower case, no `_` or `-`. */
const SECRET_KEYS = new Set(['key', 'keyhash', 'plaintext']);
const SECRET_ENDINGS =
  /(token|secret|password|apikey|accesskey|privatekey|authorization|cookie|ciphertext|credential|signature|encryptionkeys|databaseurl)$/;

/** What no secret comes without: most texts are let through by this one look. */
const SUSPICIOUS =
  /[?@#]|%3f|&quest|bearer|token|basic|tpg_|whsec_|secret|passw|key|authorization|credential|signature|cookie/i;

/** What has a value in a query string. */
const ASSIGNS = /=|%3D|\\u003d/i;

/**
 * What hides secrets inside free text. A query string is one too: presigned URLs carry their signature there. Texts are anybody's
 * and long: no pattern may look at a character again for each place where it could begin.
 */
const TEXT_RULES: ((text: string) => string)[] = [
  // any query string, also where the URL is escaped or has lost its scheme
  (text) => text.replace(/(?:\?|%3F|&quest;)[^\s"'<>]+/gi, (query) => (ASSIGNS.test(query) ? `?${REDACTED}` : query)),
  (text) => text.replace(/\bhttps?:\/\/[^\s"'<>]+/gi, withoutFragment),
  // credentials inside a URL, up to the last @
  (text) => text.replace(/:\/\/[^\s/"'<>]*@/g, `://${REDACTED}@`),
  (text) => text.replace(/\b(Bearer|Token|Basic)(\s+["']?)[^\s"',;]{8,}/gi, `$1$2${REDACTED}`),
  (text) => text.replace(/tpg_[A-Za-z0-9_-]+/g, `tpg_${REDACTED}`),
  (text) => text.replace(/whsec_[A-Za-z0-9+/=_-]+/g, `whsec_${REDACTED}`),
  // name=value and name: value, with any quotes
  (text) =>
    text.replace(
      /((?:token|secret|passw(?:or)?d|api[-_]?key|access[-_]?key|authorization|credential|signature|encryption[-_]?keys?|cookie)\w{0,40}\\?["']?\s*(?:=|:|%3D|\\u003d)\s*\\?["']?)[^\s"'&,;\\}]+/gi,
      `$1${REDACTED}`,
    ),
];

function withoutFragment(url: string): string {
  const at = url.indexOf('#');
  return at === -1 || at === url.length - 1 ? url : `${url.slice(0, at)}#${REDACTED}`;
}

/** A text that may be logged or stored as an error: tokens, secrets, credentials and query strings are taken out. */
export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return TEXT_RULES.reduce((result, hide) => hide(result), text);
}

/** A copy of a value that may be logged; never throws. Errors become `{type, message, code, at, cause, errors}`. */
export function redact(value: unknown, depth = 0): unknown {
  try {
    return redactValue(value, depth);
  } catch {
    return '[unreadable]';
  }
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[deep]';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof URL) return redactText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Error) return redactError(value, depth);
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Map) return redact(Object.fromEntries(value), depth);
  if (value instanceof Set) return redact([...value], depth);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      redactText(key),
      isSecretKey(key) ? REDACTED : redact(inner, depth + 1),
    ]),
  );
}

function isSecretKey(key: string): boolean {
  const plain = key.toLowerCase().replaceAll(/[_-]/g, '');
  return SECRET_KEYS.has(plain) || SECRET_ENDINGS.test(plain);
}

/** Only these properties: clients hang requests, headers and configurations on their errors. */
function redactError(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  const at = placeOf(error);
  return {
    type: error.name,
    message: redactText(error.message),
    ...(typeof code === 'string' && { code }),
    ...(at !== undefined && { at: redactText(at) }),
    ...(error.cause !== undefined && { cause: redact(error.cause, depth + 1) }),
    ...(error instanceof AggregateError && { errors: redact(error.errors.slice(0, MAX_ERRORS), depth + 1) }),
  };
}

/** Where an error was made: the innermost of its frames outside Node. The stack itself is in no log (contract, section 2). */
function placeOf({ stack }: Error): string | undefined {
  const frame = stack?.split('\n').find((line) => /^ {4}at /.test(line) && !/[ (]node:/.test(line));
  return frame?.slice('    at '.length);
}
