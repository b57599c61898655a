import { parseIp, unmapped, type IpAddress } from './ip-address.js';

/** A range of addresses: all that share the first `prefix` bits of `bytes`. */
export interface Cidr {
  /** As it was written, for messages. */
  readonly text: string;
  readonly version: 4 | 6;
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

/** An entry of a list of ranges that is none. */
export class InvalidCidrError extends Error {
  constructor(
    /** The entry as written. */
    readonly entry: string,
    /** Its place in the list, from 1. */
    readonly position: number,
  ) {
    super(`entry ${position} is not a range such as 10.0.0.0/8 or fd00::/8: ${JSON.stringify(entry)}`);
    this.name = 'InvalidCidrError';
  }
}

/**
 * Reads a list of ranges, separated by commas or white space (CALLBACK_ALLOWED_CIDRS, contract section 9). An address
 * without a prefix is a range of one; bits behind the prefix are ignored; a v4-mapped range is the IPv4 range it maps.
 *
 * @throws InvalidCidrError naming the first entry that is not a range.
 */
export function parseCidrs(text: string): Cidr[] {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '');
  return entries.map((entry, index) => {
    const cidr = parseCidr(entry);
    if (cidr === null) throw new InvalidCidrError(entry, index + 1);
    return cidr;
  });
}

/** Reads one range, or null. */
export function parseCidr(text: string): Cidr | null {
  const [address = '', prefixText, ...rest] = text.split('/');
  const ip = parseIp(address);
  if (ip === null || rest.length > 0) return null;
  const bits = ip.bytes.length * 8;
  if (prefixText !== undefined && !/^(0|[1-9][0-9]{0,2})$/.test(prefixText)) return null;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefix > bits) return null;
  const plain = prefix >= 96 ? unmapped(ip) : ip;
  return { text, ...plain, prefix: plain === ip ? prefix : prefix - 96 };
}

/** Whether the range holds the address. An IPv4 range holds no IPv6 address, and the other way round. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (cidr.version !== ip.version) return false;
  const wholeBytes = cidr.prefix >> 3;
  for (let index = 0; index < wholeBytes; index++) {
    if (cidr.bytes[index] !== ip.bytes[index]) return false;
  }
  const restBits = cidr.prefix & 7;
  if (restBits === 0) return true;
  const mask = (0xff << (8 - restBits)) & 0xff;
  return ((cidr.bytes[wholeBytes] ?? 0) & mask) === ((ip.bytes[wholeBytes] ?? 0) & mask);
}
