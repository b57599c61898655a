import { Injectable } from '@nestjs/common';
import { Keyring, type CiphertextPlace } from '../../common/crypto/keyring.js';
import { OWN_HEADERS } from '../../common/outbound/request-headers.js';

const MAX_HEADERS = 20;
const MAX_NAME_LENGTH = 100;
const MAX_VALUE_LENGTH = 1_000;

/** Set by the gateway, by what stands between it and a receiver, or by HTTP itself. */
const RESERVED: ReadonlySet<string> = new Set([
  ...OWN_HEADERS,
  ...['content-type', 'content-encoding', 'user-agent', 'cookie', 'date', 'via', 'forwarded'],
]);

/** What is wrong with the headers of an endpoint, or null. */
export function checkEndpointHeaders(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object';
  const entries = Object.entries(value as Record<string, unknown>);
  if (entries.length > MAX_HEADERS) return `must have at most ${MAX_HEADERS} headers`;
  const names = entries.map(([name]) => name.toLowerCase());
  if (new Set(names).size < names.length) return 'must not repeat a name (their case does not matter)';
  for (const [name, text] of entries) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || name.length > MAX_NAME_LENGTH)
      return `must have names of 1 to ${MAX_NAME_LENGTH} characters that HTTP allows`;
    if (isReserved(name.toLowerCase())) return `must not set ${name}, which is reserved`;
    if (typeof text !== 'string') return 'must have string values';
    if (text.length > MAX_VALUE_LENGTH) return `must have values of at most ${MAX_VALUE_LENGTH} characters`;
    if (!/^[\x20-\x7e]*$/.test(text) || text.trim() !== text)
      return 'must have values of visible ASCII characters, without line breaks and without spaces around them';
  }
  return null;
}

/** CGI, and what follows it (WSGI, PHP), makes one name of `webhook_id` and `webhook-id` (RFC 3875 section 4.1.18). */
function isReserved(name: string): boolean {
  const read = name.replaceAll('_', '-');
  return RESERVED.has(read) || read.startsWith('webhook-') || read.startsWith('x-forwarded-');
}

/** The client's own headers of an endpoint, encrypted at rest because they may hold keys. */
@Injectable()
export class EndpointHeaders {
  constructor(private readonly keyring: Keyring) {}

  seal(tenantId: string, endpointId: string, headers: Record<string, string>): string | null {
    if (Object.keys(headers).length === 0) return null;
    return this.keyring.encrypt(JSON.stringify(headers), place(tenantId, endpointId));
  }

  /** As they were set. */
  read(tenantId: string, endpointId: string, ciphertext: string | null): Record<string, string> {
    if (ciphertext === null) return {};
    return JSON.parse(this.keyring.decrypt(ciphertext, place(tenantId, endpointId))) as Record<string, string>;
  }
}

function place(tenantId: string, endpointId: string): CiphertextPlace {
  return { table: 'webhook_endpoints', column: 'headers_ciphertext', owner: `${tenantId}/${endpointId}` };
}
