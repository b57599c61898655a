import { describe, expect, it } from '@jest/globals';
import { type Diagnosis } from '../../../src/modules/webhooks/diagnosis/signature-diagnosis.js';
import {
  NOW,
  SECONDS,
  ID,
  ENDPOINT,
  BODY,
  CURRENT,
  ROTATING,
  OF_ENDPOINT,
  FOREIGN,
  signed,
  signatureOf,
  keyOf,
  look,
  check,
  failed,
  withSignature,
} from './pasted-webhook.js';

describe('the diagnosis of a correct webhook', () => {
  it('should find nothing', () => {
    const diagnosis = look({ secret: CURRENT });
    expect(diagnosis).toMatchObject({ valid: true, signed_by: 'callback_url' });
    expect(diagnosis.checks.map(({ name, ok }) => [name, ok])).toEqual([
      ['headers', true],
      ['timestamp', true],
      ['signature_format', true],
      ['secret', true],
      ['body', true],
      ['signature', true],
    ]);
  });

  it('should do without a secret and without knowing the webhook-id', () => {
    const diagnosis = look({}, null);
    expect(diagnosis.valid).toBe(true);
    expect([check(diagnosis, 'secret').ok, check(diagnosis, 'body').ok]).toEqual([null, null]);
  });

  it('should tell whose secret has signed', () => {
    const diagnosis = look({ headers: signed([OF_ENDPOINT]) }, { owner: ENDPOINT, body: BODY });
    expect(diagnosis).toMatchObject({ valid: true, signed_by: ENDPOINT });
    expect(check(diagnosis, 'signature').detail).toContain(ENDPOINT);
  });

  it.each([CURRENT, ROTATING])('should take each secret of a rotation', (secret) => {
    expect(look({ headers: signed([CURRENT, ROTATING]), secret }).valid).toBe(true);
    expect(look({ headers: signed([FOREIGN, secret]) }).valid).toBe(true);
  });

  it('should say until when a secret that is being rotated out signs', () => {
    const diagnosis = look({ headers: signed([CURRENT, ROTATING]), secret: ROTATING });
    expect(check(diagnosis, 'secret').detail).toContain('2026-11-20T10:00:00.500Z');
  });

  it('should take names of headers as CGI has them, and so PHP and WSGI', () => {
    const names = Object.entries(signed()).map(([name, value]) => [
      `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
      value,
    ]);
    expect(look({ headers: Object.fromEntries(names) as Record<string, string> }).valid).toBe(true);
  });

  it('should take names of headers in any case, and other headers beside them', () => {
    const headers = Object.fromEntries(Object.entries(signed()).map(([name, value]) => [name.toUpperCase(), value]));
    expect(look({ headers: { Host: 'example.com', ...headers } }).valid).toBe(true);
  });
});

describe('the check of the headers', () => {
  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('should miss %s', (name) => {
    const { [name]: _, ...headers } = signed();
    const diagnosis = look({ headers });
    expect(diagnosis).toMatchObject({ valid: false, signed_by: null });
    expect(failed(diagnosis)).toEqual(['headers']);
    expect(check(diagnosis, 'headers').detail).toMatch(`${name} is missing`);
    expect(check(diagnosis, 'signature').ok).toBeNull();
  });

  it('should miss all of them', () => {
    expect(check(look({ headers: {} }), 'headers').detail.match(/is missing/g)).toHaveLength(3);
  });

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('should see spaces around %s', (name) => {
    const diagnosis = look({ headers: { ...signed(), [name]: ` ${signed()[name]}\t` } });
    expect(failed(diagnosis)).toEqual(['headers']);
    expect(check(diagnosis, 'headers').detail).toContain(`${name} has spaces around it`);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it('should see a header that is empty or there twice', () => {
    expect(check(look({ headers: { ...signed(), 'webhook-id': ' ' } }), 'headers').detail).toContain('is empty');
    const twice = look({ headers: { ...signed(), 'Webhook-Id': 'another' } });
    expect(check(twice, 'headers').detail).toContain('more than once');
    expect(look({ headers: { ...signed(), 'Webhook-Id': ID } }).valid).toBe(true);
  });
});

describe('the check of the timestamp', () => {
  function at(seconds: number): Diagnosis {
    return look({ headers: signed([CURRENT], seconds) });
  }

  it('should allow five minutes either way', () => {
    expect([-300, -299, 0, 299, 300].map((offset) => at(SECONDS + offset).valid)).toEqual(Array(5).fill(true));
  });

  it.each([
    [-301, '5 minutes old'],
    [-3 * 3_600, '3 hours old'],
    [-3 * 86_400, '3 days old'],
    [301, '5 minutes in the future'],
  ])('should refuse one of %i seconds from now, and judge the signature all the same', (offset, words) => {
    const diagnosis = at(SECONDS + offset);
    expect(failed(diagnosis)).toEqual(['timestamp']);
    expect(check(diagnosis, 'timestamp').detail).toContain(words);
    expect(check(diagnosis, 'timestamp').detail).toMatch(/clock/);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it.each([
    [`${SECONDS}123`, 'milliseconds'],
    [`${SECONDS}123456`, 'microseconds'],
    [`${SECONDS}123456789`, 'nanoseconds'],
    [`${SECONDS}.5`, 'fraction'],
    [NOW.toISOString(), 'date'],
    [NOW.toUTCString(), 'date'],
  ])('should know what %s is, and judge the signature with its seconds', (timestamp, word) => {
    const diagnosis = look({ headers: { ...signed(), 'webhook-timestamp': timestamp } });
    expect(failed(diagnosis)).toEqual(['timestamp']);
    expect(check(diagnosis, 'timestamp').detail).toContain(word);
    expect(check(diagnosis, 'timestamp').detail).toContain(`judged with ${SECONDS}`);
    expect(check(diagnosis, 'signature').ok).toBe(true);
  });

  it.each(['soon', '-5', '1e9', `0${SECONDS}`, `+${SECONDS}`, '0x10', '9'.repeat(40), '2026-13-45'])(
    'should make nothing of %s',
    (timestamp) => {
      const diagnosis = look({ headers: { ...signed(), 'webhook-timestamp': timestamp } });
      expect(failed(diagnosis)).toEqual(['timestamp']);
      expect(check(diagnosis, 'signature').ok).toBeNull();
    },
  );
});

describe('the check of the form of the signature', () => {
  const digest = signatureOf(keyOf(CURRENT));
  const base64 = digest.toString('base64');

  it.each([
    ['unpadded', `v1,${base64.slice(0, -1)}`, 'padding'],
    ['in hexadecimal', `v1,${digest.toString('hex')}`, 'hexadecimal'],
    ['without a prefix', base64, 'begin with `v1,`'],
    ['with an equals sign', `v1=${base64}`, 'begin with `v1,`'],
    ['as GitHub writes it', `sha256=${digest.toString('hex')}`, 'begin with `v1,`'],
  ])('should hint at one that is %s, and still find its bytes right', (_, value, words) => {
    const diagnosis = withSignature(value);
    expect(failed(diagnosis)).toEqual(['signature_format', 'signature']);
    expect(check(diagnosis, 'signature_format').detail).toContain(words);
    expect(check(diagnosis, 'signature').detail).toContain('bytes of the signature are right');
    expect(diagnosis.signed_by).toBe('callback_url');
  });

  it('should hint at the url-safe alphabet', () => {
    // A body for which the alphabets differ.
    const bodies = Array.from({ length: 1_000 }, (_, i) => JSON.stringify(i));
    const body = bodies.find((each) => signed([CURRENT], SECONDS, each)['webhook-signature']?.includes('+')) ?? '';
    const headers = signed([CURRENT], SECONDS, body);
    const value = headers['webhook-signature'] ?? '';
    headers['webhook-signature'] = value.replace(/\+/g, '-').replace(/\//g, '_');
    const diagnosis = look({ headers, body }, null);
    expect(failed(diagnosis)).toEqual(['signature_format', 'signature']);
    expect(check(diagnosis, 'signature_format').detail).toContain('url-safe');
  });

  it.each([
    ['v1,', 'not base64'],
    ['v1,%%%%', 'not base64'],
    [`v1,${base64.slice(0, 20)}`, 'of 15 bytes'],
    [`v1,${base64},v1,${base64}`, 'separated by a space'],
    [`v1,${base64.slice(0, -2)}B=`, 'it was changed'],
  ])('should not read %s', (value, words) => {
    const diagnosis = withSignature(value);
    expect(diagnosis.valid).toBe(false);
    expect(failed(diagnosis)).toContain('signature_format');
    expect(check(diagnosis, 'signature_format').detail).toContain(words);
  });

  it('should skip versions that it does not know', () => {
    const diagnosis = withSignature(`v1a,${'A'.repeat(86)}== v1,${base64} v2,x`);
    expect(diagnosis.valid).toBe(true);
    expect(check(diagnosis, 'signature_format').detail).toMatch(/Signature 1 is of another version.*Signature 3/);
    expect(failed(withSignature(`v2,${base64}`))).toEqual(['signature_format']);
  });

  it('should say which of several is not well formed, and be content with one that is', () => {
    const diagnosis = withSignature(`v1,${base64} ${digest.toString('hex')}`);
    expect(diagnosis.valid).toBe(true);
    expect(check(diagnosis, 'signature_format').detail).toMatch(/Signature 2 .*Signature 2 is hexadecimal/);
  });

  it('should look at no more than twenty', () => {
    const other = signed([FOREIGN])['webhook-signature'];
    const diagnosis = withSignature(`${`${other} `.repeat(20)}v1,${base64}`);
    expect(diagnosis.valid).toBe(false);
    expect(check(diagnosis, 'signature_format').detail).toContain('first 20');
  });
});
