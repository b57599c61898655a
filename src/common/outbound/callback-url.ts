import { parseUrl } from '../validation/url.js';
import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import type { Config } from '../config/config.js';
import { classifyAddress, isAllowed, type AddressClass } from './address-class.js';
import type { Cidr } from './cidr.js';
import { isReservedPort } from './reserved-ports.js';

/** Where callbacks may go (contract sections 3, 7 and 9). */
export interface CallbackPolicy {
  /** Plain http too: CALLBACK_ALLOW_HTTP. */
  readonly allowHttp: boolean;
  /** Private ranges that are open: CALLBACK_ALLOWED_CIDRS. */
  readonly allowedCidrs: readonly Cidr[];
  /** The tenant's `callback_allowed_hosts`: exact names or `*.suffix`; empty allows any. It opens no range. */
  readonly allowedHosts: readonly string[];
}

/** The operator's part of it. */
export function operatorPolicy(
  config: Pick<Config, 'callbackAllowHttp' | 'callbackAllowedCidrs'>,
): Omit<CallbackPolicy, 'allowedHosts'> {
  return { allowHttp: config.callbackAllowHttp, allowedCidrs: config.callbackAllowedCidrs };
}

export type CallbackUrlVerdict =
  { readonly ok: true; readonly url: URL } | { readonly ok: false; readonly reason: string };

/** Characters of a callback URL, as given. */
const MAX_CALLBACK_URL_LENGTH = 2_048;

/** Names that reach cloud metadata services; each resolves to a refused address too, but a 400 tells sooner. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata.google.internal',
  'metadata.goog',
  'instance-data.ec2.internal',
]);

/**
 * Judges a callback URL without resolving its name. What counts is the URL as WHATWG parses it, since that is what is
 * connected to: `http://0x7f.1` and `http://①②⑦.0.0.1` are loopback. Single-label names pass: services of a cluster are
 * named so, and what they resolve to is judged at every attempt. The `url` of a good verdict is the one to use; its host
 * has no trailing dot (RFC 6066 wants none in SNI). A `reason` completes the sentence "callback_url …".
 */
export function checkCallbackUrl(raw: string, policy: CallbackPolicy): CallbackUrlVerdict {
  if (raw.length > MAX_CALLBACK_URL_LENGTH) return refuse(`must not exceed ${MAX_CALLBACK_URL_LENGTH} characters`);
  // The parser drops these silently, so that what is stored and what is called would differ.
  if (/[\s\p{Cc}]/u.test(raw)) return refuse('must not contain spaces or control characters');
  const url = parseUrl(raw);
  if (!url) return refuse('must be an absolute URL');
  const reason = shapeFault(raw, url, policy.allowHttp) ?? hostFault(url, policy);
  return reason === null ? { ok: true, url } : refuse(reason);
}

/**
 * Scheme, host and port of a callback URL, as they are connected to: `https://a.example.` is `https://a.example`, whose
 * connections they share.
 */
export function callbackOrigin(raw: string): string {
  const url = new URL(raw);
  dropTrailingDot(url);
  return url.origin;
}

/** Why an address of this class is refused, as the end of a sentence: "a private address". */
export function describeClass(addressClass: AddressClass): string {
  switch (addressClass) {
    case 'link_local':
    case 'metadata':
      return 'a link-local or metadata address';
    case 'private':
    case 'shared':
      return 'a private address';
    case 'loopback':
      return 'a loopback address';
    case 'multicast':
      return 'a multicast address';
    case 'public':
    case 'reserved':
    case 'invalid':
      return 'a reserved address';
  }
}

/** `localhost` and all below it, which never leave the machine (RFC 6761 section 6.3), without asking a resolver. */
export function isLocalhostName(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || LOOPBACK_ALIASES.has(hostname);
}

/** What a localhost name means. */
export const LOOPBACK_ADDRESSES: readonly string[] = ['127.0.0.1', '::1'];

/** Entries of the hosts file of common distributions. */
const LOOPBACK_ALIASES: ReadonlySet<string> = new Set(['localhost.localdomain', 'ip6-localhost', 'ip6-loopback']);

function refuse(reason: string): CallbackUrlVerdict {
  return { ok: false, reason };
}

function shapeFault(raw: string, url: URL, allowHttp: boolean): string | null {
  if (url.protocol !== 'https:' && !(allowHttp && url.protocol === 'http:')) {
    return allowHttp ? 'must use https or http' : 'must use https';
  }
  if (hasUserInfo(raw)) return 'must not contain credentials';
  // `url.hash` is empty for a lone `#`.
  if (raw.includes('#')) return 'must not contain a fragment';
  if (url.port !== '' && isReservedPort(Number(url.port))) return 'must not use a reserved port';
  return null;
}

/** As written: `url.username` and `url.password` are empty for `https://@a.example` and `https://:@a.example`. */
function hasUserInfo(raw: string): boolean {
  // WHATWG takes any number of slashes before the authority, and backslashes for them.
  return /^[^:]*:[/\\]*[^/\\?#]*@/.test(raw);
}

/** Of an absolute name, which means the same without it. */
function dropTrailingDot(url: URL): void {
  if (url.hostname.endsWith('.')) url.hostname = url.hostname.slice(0, -1);
}

/** Judges the host; takes the trailing dot off an absolute name first. */
function hostFault(url: URL, policy: CallbackPolicy): string | null {
  dropTrailingDot(url);
  const host = bareHost(url);
  const literal = isIP(host) !== 0;
  if (!literal && !isHostName(host)) return 'must have a valid host name';
  const forbidden = literal ? forbiddenLiteral(host, policy) : forbiddenName(host, policy);
  if (forbidden !== null) return `must not point to ${describeClass(forbidden)}`;
  if (policy.allowedHosts.length > 0 && !policy.allowedHosts.some((entry) => matchesHost(entry, host))) {
    return 'must be on one of the allowed callback hosts';
  }
  return null;
}

/** The host of a URL; an IPv6 address without its brackets. */
export function bareHost(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

function forbiddenLiteral(address: string, policy: CallbackPolicy): AddressClass | null {
  return isAllowed(address, policy.allowedCidrs) ? null : classifyAddress(address);
}

function forbiddenName(host: string, policy: CallbackPolicy): AddressClass | null {
  if (METADATA_NAMES.has(host)) return 'metadata';
  if (!isLocalhostName(host)) return null;
  return LOOPBACK_ADDRESSES.some((address) => isAllowed(address, policy.allowedCidrs)) ? null : 'loopback';
}

/** RFC 1035 section 2.3.4 lengths; the underscore is no host name's, but exists. */
function isHostName(host: string): boolean {
  return host.length <= 253 && host.split('.').every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}

function matchesHost(entry: string, host: string): boolean {
  const wanted = normalHost(entry);
  if (!wanted.startsWith('*.')) return wanted === host;
  return wanted.length > 2 && host.endsWith(wanted.slice(1)) && host.length > wanted.length - 1;
}

function normalHost(entry: string): string {
  const bare = entry
    .trim()
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[(.*)\]$/, '$1');
  // As WHATWG writes an address: `2606:4700:0::1` is `2606:4700::1`.
  const address = isIPv6(bare) ? parseUrl(`https://[${bare}]`) : null;
  if (address) return bareHost(address);
  if (!/[^\p{ASCII}]/u.test(bare)) return bare;
  return bare.startsWith('*.') ? `*.${domainToASCII(bare.slice(2))}` : domainToASCII(bare);
}
