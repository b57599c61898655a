import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkCallbackUrl, type CallbackPolicy } from '../../../src/common/outbound/callback-url.js';
import { parseCidrs } from '../../../src/common/outbound/cidr.js';

const STRICT: CallbackPolicy = { allowHttp: false, allowedCidrs: [], allowedHosts: [] };
const OPEN: CallbackPolicy = { allowHttp: true, allowedCidrs: parseCidrs('0.0.0.0/0 ::/0'), allowedHosts: [] };

const reasonOf = (raw: string, policy: CallbackPolicy = STRICT): string | null => {
  const verdict = checkCallbackUrl(raw, policy);
  return verdict.ok ? null : verdict.reason;
};

describe('checkCallbackUrl', () => {
  it.each([
    'https://example.com/hook',
    'https://example.com:8443/hook?job=1&x=%20',
    'https://hooks.example.com./x',
    'https://bücher.example/x',
    'https://my_host.example.com/',
    'https://receiver/hook',
    'https://receiver.ns.svc.cluster.local:8080/hook',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/',
    'https://[64:ff9b::808:808]/',
    `https://example.com/${'a'.repeat(2_048 - 20)}`,
  ])('should accept %s', (raw) => {
    expect(reasonOf(raw)).toBeNull();
  });

  it.each([
    ['http://example.com/', 'must use https'],
    ['ftp://example.com/', 'must use https'],
    ['javascript:alert(1)', 'must use https'],
    ['file:///etc/passwd', 'must use https'],
    ['//example.com/x', 'must be an absolute URL'],
    ['example.com', 'must be an absolute URL'],
    ['', 'must be an absolute URL'],
    ['https://', 'must be an absolute URL'],
    ['https://exa mple.com/', 'must not contain spaces or control characters'],
    ['https://example.com/a\nb', 'must not contain spaces or control characters'],
    [' https://example.com/', 'must not contain spaces or control characters'],
    ['https://example.com/\u0085', 'must not contain spaces or control characters'],
    ['https://user:pw@example.com/', 'must not contain credentials'],
    ['https://user@example.com/', 'must not contain credentials'],
    ['https://:pw@example.com/', 'must not contain credentials'],
    ['https://@example.com/', 'must not contain credentials'],
    ['https://:@example.com/', 'must not contain credentials'],
    ['https:@example.com/', 'must not contain credentials'],
    ['https:\\\\@example.com/', 'must not contain credentials'],
    ['https://example.com/#top', 'must not contain a fragment'],
    ['https://example.com/#', 'must not contain a fragment'],
    [`https://example.com/${'a'.repeat(2_048 - 19)}`, 'must not exceed 2048 characters'],
    ['https://example.com:22/', 'must not use a reserved port'],
    ['https://example.com:25/', 'must not use a reserved port'],
    ['https://example.com:0/', 'must not use a reserved port'],
    ['https://example.com:6379/', 'must not use a reserved port'],
    ['https://example.com:5984/', 'must not use a reserved port'],
    ['https://example.com:6443/', 'must not use a reserved port'],
    ['https://example.com:8500/', 'must not use a reserved port'],
    ['https://example.com:9200/', 'must not use a reserved port'],
    ['https://example..com/', 'must have a valid host name'],
    ['https://example.com../', 'must have a valid host name'],
    ['https://*.example.com/', 'must have a valid host name'],
    [`https://${'a'.repeat(64)}.example/`, 'must have a valid host name'],
    ['https://localhost/', 'must not point to a loopback address'],
    ['https://LOCALHOST./', 'must not point to a loopback address'],
    ['https://a.b.localhost/', 'must not point to a loopback address'],
    ['https://127.0.0.1/', 'must not point to a loopback address'],
    ['https://127.0.0.1./', 'must not point to a loopback address'],
    ['https://0x7f.1/', 'must not point to a loopback address'],
    ['https://2130706433/', 'must not point to a loopback address'],
    ['https://0177.0.0.1/', 'must not point to a loopback address'],
    ['https://①②⑦.0.0.1/', 'must not point to a loopback address'],
    ['https://127。0。0。1/', 'must not point to a loopback address'],
    ['https://%31%32%37.0.0.1/', 'must not point to a loopback address'],
    ['https://[::1]/', 'must not point to a loopback address'],
    ['https://[::ffff:127.0.0.1]/', 'must not point to a loopback address'],
    ['https://[64:ff9b::7f00:1]/', 'must not point to a loopback address'],
    ['https://10.0.0.1/', 'must not point to a private address'],
    ['https://100.64.0.1/', 'must not point to a private address'],
    ['https://[fd00::1]/', 'must not point to a private address'],
    ['https://169.254.169.254/', 'must not point to a link-local or metadata address'],
    ['https://0xa9fea9fe/', 'must not point to a link-local or metadata address'],
    ['https://[fe80::1]/', 'must not point to a link-local or metadata address'],
    ['https://metadata.google.internal/', 'must not point to a link-local or metadata address'],
    ['https://224.0.0.1/', 'must not point to a multicast address'],
    ['https://0/', 'must not point to a reserved address'],
    ['https://[::]/', 'must not point to a reserved address'],
  ])('should refuse %s: %s', (raw, reason) => {
    expect(reasonOf(raw)).toBe(reason);
  });

  it('should accept http where allowed, and say so where something else is used', () => {
    expect(reasonOf('http://example.com/', OPEN)).toBeNull();
    expect(reasonOf('ws://example.com/', OPEN)).toBe('must use https or http');
  });

  it('should open private and loopback hosts by range, and link-local ones never', () => {
    expect(reasonOf('http://10.0.0.1/', OPEN)).toBeNull();
    expect(reasonOf('http://localhost:8080/', OPEN)).toBeNull();
    expect(reasonOf('http://[::1]/', OPEN)).toBeNull();
    expect(reasonOf('http://169.254.169.254/', OPEN)).toBe('must not point to a link-local or metadata address');
    expect(reasonOf('http://localhost/', { ...OPEN, allowedCidrs: parseCidrs('10.0.0.0/8') })).not.toBeNull();
    expect(reasonOf('http://localhost/', { ...OPEN, allowedCidrs: parseCidrs('127.0.0.1') })).toBeNull();
  });

  it('should give the URL without the trailing dot of its host', () => {
    const verdict = checkCallbackUrl('https://Hooks.Example.com.:8443/x', STRICT);
    expect(verdict.ok && verdict.url.href).toBe('https://hooks.example.com:8443/x');
  });

  it.each<[string, string, boolean]>([
    ['example.com', 'https://example.com/', true],
    ['Example.com.', 'https://example.com/', true],
    ['example.com', 'https://a.example.com/', false],
    ['*.example.com', 'https://a.example.com/', true],
    ['*.example.com', 'https://a.b.example.com./', true],
    ['*.example.com', 'https://example.com/', false],
    ['*.example.com', 'https://evilexample.com/', false],
    ['*.bücher.example', 'https://a.bücher.example/', true],
    ['*.', 'https://example.com/', false],
    ['*', 'https://example.com/', false],
    ['8.8.8.8', 'https://8.8.8.8/', true],
    ['[2606:4700::1111]', 'https://[2606:4700::1111]/', true],
    ['[2606:4700:0::1111]', 'https://[2606:4700::1111]/', true],
    ['[2606:4700::1111]', 'https://[2606:4700::1112]/', false],
    ['[2606:4700::', 'https://[2606:4700::1111]/', false],
    ['_a.example.com', 'https://_a.example.com/', true],
  ])('should match the allowed host %s with %s: %s', (entry, raw, matches) => {
    const reason = reasonOf(raw, { ...STRICT, allowedHosts: [entry] });
    expect(reason).toBe(matches ? null : 'must be on one of the allowed callback hosts');
  });

  it('should not open an address range by an allowed host', () => {
    expect(reasonOf('https://10.0.0.1/', { ...STRICT, allowedHosts: ['10.0.0.1'] })).toBe(
      'must not point to a private address',
    );
  });

  it('should answer for any text, and only with https, no credentials and a host when it accepts', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl({ withFragments: true, withQueryParameters: true }),
    );
    fc.assert(
      fc.property(texts, (raw) => {
        const verdict = checkCallbackUrl(raw, STRICT);
        if (!verdict.ok) return expect(verdict.reason).toMatch(/^must /);
        const { protocol, username, hash, hostname } = verdict.url;
        return expect([protocol, username, hash, hostname !== '']).toEqual(['https:', '', '', true]);
      }),
      { numRuns: 2_000 },
    );
  });
});
