/** Keys whose values never reach a log, whatever they hold. Compared in lower case without `_` and `-`. */
const SECRET_KEYS = new Set([
  'authorization',
  'cookie',
  'setcookie',
  'token',
  'tensorpixtoken',
  'tokenciphertext',
  'ciphertext',
  'secret',
  'webhooksecret',
  'password',
  'apikey',
  'adminapikey',
  'key',
  'keyhash',
  'encryptionkeys',
  'databaseurl',
  'plaintext',
]);

const REDACTED = '[redacted]';
const MAX_DEPTH = 8;

/** Patterns of secrets inside free text. A query string is one too: presigned URLs carry their signature there. */
const TEXT_RULES: [RegExp, string][] = [
  [/\b(Bearer|Token|Basic)\s+[^\s"',;]+/gi, `$1 ${REDACTED}`],
  [/\btpg_[A-Za-z0-9_-]+/g, `tpg_${REDACTED}`],
  [/\bwhsec_[A-Za-z0-9+/=_-]+/g, `whsec_${REDACTED}`],
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"'<>]+@/gi, `$1${REDACTED}@`],
  [/\b(https?:\/\/[^\s?#"'<>]+)[?#][^\s"'<>]+/gi, `$1?${REDACTED}`],
  [
    /\b((?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|token|key|secret|password)=)[^&\s"']+/gi,
    `$1${REDACTED}`,
  ],
];

/** What no secret comes without: most texts are let through by this one look. */
const SUSPICIOUS = /bearer|token|basic|tpg_|whsec_|:\/\/|sig|credential|key|secret|password/i;

/** A text that may be logged or stored as an error: tokens, secrets, credentials and query strings are taken out. */
export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  return TEXT_RULES.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

/** A copy of a value that may be logged. Errors become `{type, message, code, stack, cause}`. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[deep]';
  if (value instanceof Date) return value.toISOString();
  if (value instanceof URL) return redactText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Error) return redactError(value, depth);
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Map) return redact(Object.fromEntries(value), depth);
  if (value instanceof Set) return redact([...value], depth);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, isSecretKey(key) ? REDACTED : redact(inner, depth + 1)]),
  );
}

function isSecretKey(key: string): boolean {
  return SECRET_KEYS.has(key.toLowerCase().replaceAll(/[_-]/g, ''));
}

/** Only these properties: clients hang requests, headers and configurations on their errors. */
function redactError(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: redactText(error.message),
    ...(typeof code === 'string' && { code }),
    ...(error.stack && { stack: redactText(error.stack) }),
    ...(error.cause !== undefined && { cause: redact(error.cause, depth + 1) }),
  };
}
