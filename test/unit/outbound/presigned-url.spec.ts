import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { presignedExpiry } from '../../../src/common/outbound/presigned-url.js';

const expiryOf = (query: string): string | null =>
  presignedExpiry(new URL(`https://bucket.example.com/in.mp4?${query}`))?.toISOString() ?? null;

const AT = '2026-11-20T10:00:00.000Z';
const UNIX = Date.parse(AT) / 1_000;

function policyParameter(policy: unknown, urlSafe = true): string {
  const base64 = Buffer.from(JSON.stringify(policy)).toString('base64');
  return urlSafe ? base64.replace(/\+/g, '-').replace(/=/g, '_').replace(/\//g, '~') : encodeURIComponent(base64);
}

const cloudFront = (epoch: unknown): unknown => ({
  Statement: [{ Resource: 'https://d1.example.net/?>*', Condition: { DateLessThan: { 'AWS:EpochTime': epoch } } }],
});

describe('presignedExpiry', () => {
  it.each([
    ['AWS V4', 'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261120T090000Z&X-Amz-Expires=3600&X-Amz-Signature=ab'],
    ['AWS V4 in lower case', 'x-amz-date=20261120T090000Z&x-amz-expires=3600'],
    ['AWS V2', `AWSAccessKeyId=AK&Expires=${UNIX}&Signature=ab%2B`],
    ['Google V4', 'X-Goog-Date=20261120T090000Z&X-Goog-Expires=3600&X-Goog-Signature=ab'],
    ['Google V2', `GoogleAccessId=a@b&Expires=${UNIX}&Signature=ab`],
    ['Alibaba V1', `OSSAccessKeyId=AK&Expires=${UNIX}&Signature=ab`],
    ['Alibaba V4', 'x-oss-date=20261120T090000Z&x-oss-expires=3600&x-oss-signature=ab'],
    ['CloudFront canned', `Expires=${UNIX}&Signature=ab~&Key-Pair-Id=K1`],
    ['CloudFront custom', `Policy=${policyParameter(cloudFront(UNIX))}&Signature=ab&Key-Pair-Id=K1`],
    ['CloudFront custom, plain base64', `Policy=${policyParameter(cloudFront(UNIX), false)}&Signature=ab`],
    ['Azure', 'sv=2024-11-04&se=2026-11-20T10%3A00%3A00Z&sp=r&sig=ab'],
    ['Azure to the minute', 'se=2026-11-20T10:00Z&sig=ab'],
    ['Azure with a fraction', 'se=2026-11-20T10:00:00.0000000Z&sig=ab'],
  ])('should read %s', (_name, query) => {
    expect(expiryOf(query)).toBe(AT);
  });

  it('should read an Azure date as its midnight', () => {
    expect(expiryOf('se=2026-11-20&sig=ab')).toBe('2026-11-20T00:00:00.000Z');
  });

  it('should take the first of a repeated parameter and the earliest of several schemes', () => {
    expect(expiryOf(`Expires=${UNIX}&Expires=1&Signature=ab`)).toBe(AT);
    expect(expiryOf(`Expires=${UNIX + 60}&Signature=ab&X-Amz-Date=20261120T090000Z&X-Amz-Expires=3600`)).toBe(AT);
  });

  it.each([
    '',
    'Expires=1763632800',
    'Expires=tomorrow&Signature=ab',
    'Expires=-5&Signature=ab',
    'Expires=99999999999999999999&Signature=ab',
    'Expires=9999999999999&Signature=ab',
    'X-Amz-Date=20261120T090000Z',
    'X-Amz-Expires=3600',
    'X-Amz-Date=20260230T090000Z&X-Amz-Expires=3600',
    'X-Amz-Date=20261120T250000Z&X-Amz-Expires=3600',
    'X-Amz-Date=2026-11-20T09:00:00Z&X-Amz-Expires=3600',
    'X-Amz-Date=20261120T090000Z&X-Amz-Expires=1e3',
    'se=2026-11-20T10:00:00Z',
    'se=20.11.2026&sig=ab',
    'se=2026-13-01&sig=ab',
    'Policy=%%%&Signature=ab',
    'Policy=bm90IGpzb24_&Signature=ab',
    `Policy=${policyParameter(null)}&Signature=ab`,
    `Policy=${policyParameter({ Statement: [null, 1, {}] })}&Signature=ab`,
    `Policy=${policyParameter(cloudFront({}))}&Signature=ab`,
    `Policy=${'A'.repeat(10_000)}&Signature=ab`,
  ])('should say nothing about %s', (query) => {
    expect(expiryOf(query)).toBeNull();
  });

  it('should answer for any query with a valid date or null', () => {
    const names = fc.constantFrom('Expires', 'Signature', 'Policy', 'se', 'sig', 'X-Amz-Date', 'X-Amz-Expires');
    const values = fc.oneof(fc.string(), fc.nat().map(String), fc.constant('20261120T090000Z'));
    fc.assert(
      fc.property(fc.array(fc.tuple(names, values)), (pairs) => {
        const expiry = presignedExpiry(new URL(`https://a.example/?${new URLSearchParams(pairs).toString()}`));
        expect(expiry === null || !Number.isNaN(expiry.getTime())).toBe(true);
      }),
    );
  });
});
