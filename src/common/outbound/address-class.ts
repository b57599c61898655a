import { cidrContains, parseCidr, type Cidr } from './cidr.js';
import { ipv4At, parseIp, unmapped, type IpAddress } from './ip-address.js';

/**
 * What an address is for. `shared` is carrier-grade NAT (RFC 6598), `reserved` everything that no rule makes public,
 * `invalid` what is not an address at all.
 */
export type AddressClass =
  'public' | 'private' | 'shared' | 'loopback' | 'link_local' | 'metadata' | 'multicast' | 'reserved' | 'invalid';

/** The class of an IP address (no brackets), judged by the IPv4 address within it too where it embeds one. */
export function classifyAddress(address: string): AddressClass {
  const ip = parseIp(address);
  return ip === null ? 'invalid' : judge(ip).addressClass;
}

/**
 * Whether a callback may connect to the address (contract sections 7 and 9): a public one always; a private, shared or
 * loopback one only within one of `allowedCidrs`; link-local and metadata addresses and all else never.
 */
export function isAllowed(address: string, allowedCidrs: readonly Cidr[]): boolean {
  const ip = parseIp(address);
  if (ip === null) return false;
  const { addressClass, target } = judge(ip);
  if (addressClass === 'public') return true;
  if (target === null || !OPENED_BY_CIDR.has(addressClass)) return false;
  return allowedCidrs.some((cidr) => cidrContains(cidr, target));
}

const OPENED_BY_CIDR: ReadonlySet<AddressClass> = new Set(['private', 'shared', 'loopback']);

interface Judgement {
  readonly addressClass: AddressClass;
  /** What a range must hold to open the address; null when no range does. */
  readonly target: IpAddress | null;
}

function judge(ip: IpAddress): Judgement {
  if (ip.version === 4) return { addressClass: rangeClass(ip, IPV4_RANGES, 'public'), target: ip };
  const translated = ipv4BehindTranslation(ip);
  if (translated !== null) return judge(translated);
  const outer = rangeClass(ip, IPV6_RANGES, 'reserved');
  const embedded = tunnelledIpv4(ip);
  const inner = worstOf(embedded.map((v4) => rangeClass(v4, IPV4_RANGES, 'public')));
  if (inner !== 'public') return { addressClass: worstOf([outer, inner]), target: null };
  return { addressClass: outer, target: ip };
}

/**
 * The IPv4 host that an address reaches: v4-mapped (RFC 4291; the system connects over IPv4), and NAT64's well-known
 * prefix (RFC 6052), which is how IPv4-only receivers look in a cluster that has IPv6 only. These are that host.
 */
function ipv4BehindTranslation(ip: IpAddress): IpAddress | null {
  if (cidrContains(NAT64, ip)) return ipv4At(ip.bytes, 12, 13, 14, 15);
  const plain = unmapped(ip);
  return plain === ip ? null : plain;
}

/**
 * The IPv4 addresses in an address of a form that is obsolete or meant for one network. None of these forms is public by
 * itself except ISATAP, whose identifier may stand under any prefix; what they embed makes the class worse, never better.
 */
function tunnelledIpv4(ip: IpAddress): IpAddress[] {
  const { bytes } = ip;
  const last = ipv4At(bytes, 12, 13, 14, 15);
  if (cidrContains(COMPATIBLE, ip)) return isUnspecifiedOrLoopback(ip) ? [] : [last];
  if (cidrContains(SIIT, ip)) return [last];
  if (cidrContains(NAT64_LOCAL, ip)) {
    // RFC 8215 leaves the length of the prefix to the network: every position of RFC 6052 section 2.2 that fits.
    return [ipv4At(bytes, 6, 7, 9, 10), ipv4At(bytes, 7, 9, 10, 11), ipv4At(bytes, 9, 10, 11, 12), last];
  }
  if (cidrContains(SIX_TO_FOUR, ip)) return [ipv4At(bytes, 2, 3, 4, 5)];
  if (cidrContains(TEREDO, ip)) {
    const flipped = bytes.map((byte) => byte ^ 0xff);
    return [ipv4At(bytes, 4, 5, 6, 7), ipv4At(flipped, 12, 13, 14, 15)];
  }
  return isIsatap(bytes) ? [last] : [];
}

function isUnspecifiedOrLoopback(ip: IpAddress): boolean {
  return ip.bytes.every((byte, index) => byte === 0 || (index === 15 && byte === 1));
}

/** Interface identifier `[02]00:5efe:a.b.c.d`, RFC 5214 section 6.1. */
function isIsatap(bytes: Uint8Array): boolean {
  return ((bytes[8] ?? 0) & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe;
}

const BY_SEVERITY: readonly AddressClass[] = [
  'invalid',
  'metadata',
  'link_local',
  'loopback',
  'private',
  'shared',
  'multicast',
  'reserved',
];

function worstOf(classes: readonly AddressClass[]): AddressClass {
  return BY_SEVERITY.find((candidate) => classes.includes(candidate)) ?? 'public';
}

interface ClassedRange {
  readonly range: Cidr;
  readonly addressClass: AddressClass;
}

function rangeClass(ip: IpAddress, ranges: readonly ClassedRange[], otherwise: AddressClass): AddressClass {
  return ranges.find(({ range }) => cidrContains(range, ip))?.addressClass ?? otherwise;
}

function range(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === null) throw new Error(`not a range: ${text}`);
  return cidr;
}

function classed(addressClass: AddressClass, ...texts: readonly string[]): ClassedRange[] {
  return texts.map((text) => ({ range: range(text), addressClass }));
}

// RFC 4291 section 2.5.5.1; RFC 2765 (IPv4-translated); RFC 6052; RFC 8215; RFC 3056; RFC 4380.
const COMPATIBLE = range('::/96');
const SIIT = range('::ffff:0:0:0/96');
const NAT64 = range('64:ff9b::/96');
const NAT64_LOCAL = range('64:ff9b:1::/48');
const SIX_TO_FOUR = range('2002::/16');
const TEREDO = range('2001::/32');

/**
 * IANA's IPv4 Special-Purpose Address Registry (RFC 6890) and, before it, the addresses at which clouds hand
 * credentials to their machines: AWS, GCP, Azure and most others at 169.254.169.254, ECS tasks and EKS pods beside it,
 * Alibaba at 100.100.100.200, Azure's host at 168.63.129.16 (a public range), Oracle's first at 192.0.0.192. The first
 * range that holds an address decides.
 */
const IPV4_RANGES: readonly ClassedRange[] = [
  ...classed('metadata', '169.254.169.254', '169.254.170.2', '169.254.170.23'),
  ...classed('metadata', '100.100.100.200', '168.63.129.16', '192.0.0.192'),
  ...classed('link_local', '169.254.0.0/16'),
  ...classed('loopback', '127.0.0.0/8'),
  ...classed('private', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'),
  ...classed('shared', '100.64.0.0/10'),
  ...classed('multicast', '224.0.0.0/4'),
  ...classed('reserved', '0.0.0.0/8', '192.0.0.0/24', '192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24'),
  ...classed('reserved', '192.88.99.0/24', '192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'),
  ...classed('reserved', '240.0.0.0/4'),
];

/**
 * IPv6 is the other way round: only global unicast, 2000::/3, can be public, less what IANA's registry takes out of it.
 * Metadata services: AWS (also EKS pods) in fd00:ec2::/32, GCP fd20:ce::254, Scaleway fd00:42::42.
 */
const IPV6_RANGES: readonly ClassedRange[] = [
  ...classed('metadata', 'fd00:ec2::/32', 'fd20:ce::254', 'fd00:42::42'),
  ...classed('loopback', '::1'),
  ...classed('link_local', 'fe80::/10'),
  ...classed('private', 'fc00::/7'),
  ...classed('multicast', 'ff00::/8'),
  ...classed('reserved', '2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3ffe::/16', '3fff::/20'),
  ...classed('public', '2000::/3'),
];
