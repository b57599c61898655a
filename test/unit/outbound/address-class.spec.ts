import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { classifyAddress, isAllowed, type AddressClass } from '../../../src/common/outbound/address-class.js';
import { InvalidCidrError, parseCidrs } from '../../../src/common/outbound/cidr.js';

const EVERYTHING = parseCidrs('0.0.0.0/0, ::/0');

/** [first, last] of the ranges that callbacks never reach without a CIDR, as 32-bit numbers. */
const CLOSED_V4: readonly (readonly [string, string])[] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '239.255.255.255'],
  ['240.0.0.0', '255.255.255.255'],
  ['168.63.129.16', '168.63.129.16'],
];

const NEVER_V4: readonly (readonly [string, string])[] = [
  ['169.254.0.0', '169.254.255.255'],
  ['100.100.100.200', '100.100.100.200'],
  ['168.63.129.16', '168.63.129.16'],
  ['192.0.0.192', '192.0.0.192'],
  ['0.0.0.0', '0.255.255.255'],
  ['224.0.0.0', '255.255.255.255'],
];

const toNumber = (dotted: string): number => dotted.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const toDotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
const hexPair = (value: number): string => `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
const within = (ranges: readonly (readonly [string, string])[]): fc.Arbitrary<number> =>
  fc.oneof(...ranges.map(([first, last]) => fc.integer({ min: toNumber(first), max: toNumber(last) })));

/** Every IPv6 address that leads to the IPv4 one, with the whole address in one piece at the end or elsewhere. */
function embeddedForms(value: number): string[] {
  const dotted = toDotted(value);
  const hex = hexPair(value);
  const bytes = [24, 16, 8, 0].map((shift) => ((value >>> shift) & 0xff).toString(16).padStart(2, '0'));
  const [a, b, c, d] = bytes as [string, string, string, string];
  return [
    `::ffff:${dotted}`,
    `::ffff:${hex}`,
    `0:0:0:0:0:FFFF:${hex.toUpperCase()}`,
    `::${dotted}`,
    `::${hex}`,
    `::ffff:0:${dotted}`,
    `64:ff9b::${dotted}`,
    `64:ff9b::${hex}`,
    `64:ff9b:1::${dotted}`,
    `64:ff9b:1:${a}${b}:${c}:${d}00:0:0`,
    `2002:${hex}::1`,
    `2001:0:${hex}:0:0:f7f7:f7f7`,
    `2001:0:808:808:0:0:${hexPair(~value >>> 0)}`,
    `2600::5efe:${dotted}`,
    `2600::200:5efe:${hex}`,
  ];
}

describe('classifyAddress', () => {
  it.each<[string, AddressClass]>([
    ['8.8.8.8', 'public'],
    ['172.15.255.255', 'public'],
    ['172.32.0.0', 'public'],
    ['10.1.2.3', 'private'],
    ['100.64.0.1', 'shared'],
    ['127.8.8.8', 'loopback'],
    ['169.254.1.1', 'link_local'],
    ['169.254.169.254', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['192.0.0.192', 'metadata'],
    ['224.0.0.1', 'multicast'],
    ['0.0.0.0', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['2606:4700::1111', 'public'],
    ['::', 'reserved'],
    ['::1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['::7f00:1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['64:ff9b::8.8.8.8', 'public'],
    ['64:ff9b:1::8.8.8.8', 'reserved'],
    ['64:ff9b:1::169.254.169.254', 'metadata'],
    ['::ffff:8.8.8.8', 'public'],
    ['::8.8.8.8', 'reserved'],
    ['2002:808:808::1', 'reserved'],
    ['2002:a9fe:a9fe::1', 'metadata'],
    ['2001:0:808:808:0:0:f7f7:f7f7', 'reserved'],
    ['2001:0:808:808:0:0:5601:5601', 'metadata'],
    ['2001:0:a9fe:a9fe:0:0:f7f7:f7f7', 'metadata'],
    ['2606:4700::5efe:8.8.8.8', 'public'],
    ['2606:4700::5efe:10.0.0.1', 'private'],
    ['fd00::1', 'private'],
    ['fd00:ec2::254', 'metadata'],
    ['fd20:ce::254', 'metadata'],
    ['fe80::1', 'link_local'],
    ['febf::1', 'link_local'],
    ['fec0::1', 'reserved'],
    ['ff02::1', 'multicast'],
    ['100::1', 'reserved'],
    ['2001:db8::1', 'reserved'],
    ['3fff::1', 'reserved'],
    ['4000::1', 'reserved'],
    ['fe80::1%eth0', 'invalid'],
    ['0x7f.1', 'invalid'],
    ['010.0.0.1', 'invalid'],
    ['[::1]', 'invalid'],
    ['example.com', 'invalid'],
    ['', 'invalid'],
  ])('should call %s %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected);
  });
});

describe('isAllowed', () => {
  it('should refuse every closed IPv4 address in every embedded spelling', () => {
    fc.assert(
      fc.property(within(CLOSED_V4), (value) => {
        for (const address of [toDotted(value), ...embeddedForms(value)]) {
          expect([address, isAllowed(address, [])]).toEqual([address, false]);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('should refuse link-local, metadata and meaningless addresses even when every range is opened', () => {
    fc.assert(
      fc.property(within(NEVER_V4), (value) => {
        for (const address of [toDotted(value), ...embeddedForms(value)]) {
          // `::1` is not an embedded 0.0.0.1.
          if (value <= 1 && address.startsWith('::') && !address.includes('ffff')) continue;
          expect([address, isAllowed(address, EVERYTHING)]).toEqual([address, false]);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('should refuse every IPv6 address outside global unicast', () => {
    const outside = fc
      .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
      .filter(([first = 0]) => first >> 13 !== 1)
      .filter(
        (groups) => !(groups[0] === 0x64 && groups[1] === 0xff9b) && groups.slice(0, 5).some((group) => group !== 0),
      );
    fc.assert(
      fc.property(outside, (groups) => {
        expect(isAllowed(groups.map((group) => group.toString(16)).join(':'), [])).toBe(false);
      }),
    );
  });

  it('should allow private addresses, also mapped and behind NAT64, within an opened range and not beside it', () => {
    const lan = parseCidrs('10.20.0.0/16');
    fc.assert(
      fc.property(fc.integer({ min: toNumber('10.0.0.0'), max: toNumber('10.255.255.255') }), (value) => {
        const dotted = toDotted(value);
        const open = dotted.startsWith('10.20.');
        for (const address of [dotted, `::ffff:${dotted}`, `64:ff9b::${hexPair(value)}`]) {
          expect([address, isAllowed(address, lan)]).toEqual([address, open]);
        }
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: toNumber('10.20.0.0'), max: toNumber('10.20.255.255') }), (value) => {
        expect(isAllowed(toDotted(value), lan)).toBe(true);
      }),
    );
  });

  it('should allow what a range of its own prefix holds', () => {
    const privateV4 = within([
      ['10.0.0.0', '10.255.255.255'],
      ['127.0.0.0', '127.255.255.255'],
      ['192.168.0.0', '192.168.255.255'],
    ]);
    fc.assert(
      fc.property(privateV4, fc.integer({ min: 0, max: 32 }), (value, prefix) => {
        expect(isAllowed(toDotted(value), parseCidrs(`${toDotted(value)}/${prefix}`))).toBe(true);
      }),
    );
  });

  it('should open unique local and loopback IPv6 addresses by range only', () => {
    expect(isAllowed('fd12::1', [])).toBe(false);
    expect(isAllowed('fd12::1', parseCidrs('fd12::/16'))).toBe(true);
    expect(isAllowed('fd13::1', parseCidrs('fd12::/16'))).toBe(false);
    expect(isAllowed('::1', parseCidrs('::1/128'))).toBe(true);
    expect(isAllowed('::1', parseCidrs('0.0.0.0/0'))).toBe(false);
    expect(isAllowed('fe80::1', EVERYTHING)).toBe(false);
    expect(isAllowed('fd00:ec2::254', EVERYTHING)).toBe(false);
    expect(isAllowed('2001:db8::1', EVERYTHING)).toBe(false);
  });

  it('should never open tunnelled forms of private addresses', () => {
    for (const address of ['::10.0.0.1', '2002:a00:1::', '64:ff9b:1::10.0.0.1', '2600::5efe:10.0.0.1']) {
      expect([address, isAllowed(address, EVERYTHING)]).toEqual([address, false]);
    }
  });

  it('should answer for any text without throwing', () => {
    fc.assert(fc.property(fc.string(), (text) => void expect(typeof isAllowed(text, EVERYTHING)).toBe('boolean')));
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => void expect(classifyAddress(text)).not.toBe('invalid')),
    );
  });
});

describe('parseCidrs', () => {
  it('should read ranges, single addresses and mapped ranges', () => {
    const cidrs = parseCidrs(' 10.0.0.0/8,fd00::/8\n192.168.1.7  ::ffff:172.16.0.0/108 ,');
    expect(cidrs.map(({ version, prefix }) => [version, prefix])).toEqual([
      [4, 8],
      [6, 8],
      [4, 32],
      [4, 12],
    ]);
    expect(parseCidrs('')).toEqual([]);
  });

  it('should ignore bits behind the prefix', () => {
    expect(isAllowed('10.9.9.9', parseCidrs('10.1.2.3/8'))).toBe(true);
  });

  it.each([
    '10.0.0.0/33',
    '10.0.0/8',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    'lan',
    '/8',
  ])('should name the bad entry %s', (entry) => {
    expect(() => parseCidrs(`10.0.0.0/8,${entry}`)).toThrow(InvalidCidrError);
    expect(() => parseCidrs(`10.0.0.0/8,${entry}`)).toThrow(entry);
    expect(() => parseCidrs(`10.0.0.0/8,${entry}`)).toThrow('entry 2');
  });
});
