import { isIPv4, isIPv6 } from 'node:net';

/** An IP address as its bytes in network order: 4 of them, or 16. */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly bytes: Uint8Array;
}

/**
 * Reads an IPv4 address in dotted decimal or an IPv6 address in any spelling of RFC 4291 section 2.2, without brackets.
 * Anything else is null: host names, the octal, hex and short forms of IPv4 (`new URL()` turns these into dotted
 * decimal) and addresses with a zone, which mean something on one interface of one machine only.
 */
export function parseIp(text: string): IpAddress | null {
  if (isIPv4(text)) return { version: 4, bytes: Uint8Array.from(text.split('.'), Number) };
  if (!isIPv6(text) || text.includes('%')) return null;
  return { version: 6, bytes: ipv6Bytes(text) };
}

/** An IPv4 address from four bytes of something larger, e.g. of an IPv6 address that embeds it. */
export function ipv4At(bytes: Uint8Array, ...offsets: readonly [number, number, number, number]): IpAddress {
  return { version: 4, bytes: Uint8Array.from(offsets, (offset) => bytes[offset] ?? 0) };
}

/** Whether two addresses are the same one, whatever their spelling. */
export function sameIp(a: IpAddress, b: IpAddress): boolean {
  return a.version === b.version && a.bytes.every((byte, index) => byte === b.bytes[index]);
}

/** The IPv4 address that a v4-mapped one (::ffff:0:0/96) stands for; any other as it is. */
export function unmapped(ip: IpAddress): IpAddress {
  const mapped = ip.version === 6 && ip.bytes.every((byte, index) => index > 11 || byte === (index > 9 ? 0xff : 0));
  return mapped ? ipv4At(ip.bytes, 12, 13, 14, 15) : ip;
}

function ipv6Bytes(text: string): Uint8Array {
  const [head = '', tail] = withHexTail(text).split('::', 2);
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  return Uint8Array.from([...left, ...zeros, ...right].flatMap((group) => [group >> 8, group & 0xff]));
}

/** `::ffff:127.0.0.1` → `::ffff:7f00:1`. */
function withHexTail(text: string): string {
  const start = text.lastIndexOf(':') + 1;
  const dotted = text.slice(start);
  if (!dotted.includes('.')) return text;
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number);
  return `${text.slice(0, start)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function groupsOf(part: string): number[] {
  return part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
}
