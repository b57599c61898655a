import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { DecryptionError, Keyring } from '../../../src/common/crypto/keyring.js';
import { Problem } from '../../../src/common/errors/problem.js';
import { Cursors } from '../../../src/common/http/cursor.js';

const key = (id: string) => ({ id, key: randomBytes(32) });
const [one, two] = [key('k1'), key('k2')];
const place = { table: 'tenants', column: 'token_ciphertext', owner: 'tenant-1' };
const ring = new Keyring([one]);

describe('the keyring', () => {
  it('should open what it has closed, and never close it the same way twice', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }).filter((text) => !/\p{Surrogate}/u.test(text)),
        (text) => {
          const [first, second] = [ring.encrypt(text, place), ring.encrypt(text, place)];
          expect(first).not.toBe(second);
          expect([first, second].map((ciphertext) => ring.decrypt(ciphertext, place))).toEqual([text, text]);
        },
      ),
    );
  });

  it.each([{ table: 'webhook_secrets' }, { column: 'name' }, { owner: 'tenant-2' }, { owner: '' }])(
    'should not open it in another place: %j',
    (other) => {
      const ciphertext = ring.encrypt('a token', place);
      expect(() => ring.decrypt(ciphertext, { ...place, ...other })).toThrow(DecryptionError);
    },
  );

  it('should not confuse places that read the same when they are put together', () => {
    const ciphertext = ring.encrypt('a', { table: 'a', column: 'b.c', owner: 'd' });
    expect(() => ring.decrypt(ciphertext, { table: 'a.b', column: 'c', owner: 'd' })).toThrow(DecryptionError);
  });

  it('should not open anything with one bit changed', () => {
    const bytes = Buffer.from(ring.encrypt('a token', place).split('.')[2] ?? '', 'base64url');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        expect(() => ring.decrypt(`v1.k1.${changed.toString('base64url')}`, place)).toThrow(DecryptionError);
      }),
    );
  });

  it.each([
    '',
    'v1',
    'v1.k1',
    'v1.k1.',
    'v1.k1.AAAA',
    'v1.k1.!!!!',
    `v1.k1.${'A'.repeat(37)}`,
    `v1.k1.${'A'.repeat(38)}`,
    'v2.k1.AAAA',
    'v1..AAAA',
    'plain token',
    'v1.__proto__.AAAA',
  ])('should say that it cannot open %j, and not fail otherwise', (text) => {
    expect(() => ring.decrypt(text, place)).toThrow(DecryptionError);
  });

  it('should not say what it could not open', () => {
    const ciphertext = new Keyring([two]).encrypt('a token', place);
    expect(() => ring.decrypt(ciphertext, place)).toThrow(/"k2"/);
    expect(() => ring.decrypt(ciphertext, place)).not.toThrow(/token"|[A-Za-z0-9_-]{30}/);
  });

  it('should close with the first key and open with each', () => {
    const rotated = new Keyring([two, one]);
    expect(rotated.encrypt('a', place)).toMatch(/^v1\.k2\./);
    expect(rotated.decrypt(ring.encrypt('a', place), place)).toBe('a');
    expect(() => ring.decrypt(rotated.encrypt('a', place), place)).toThrow(DecryptionError);
    expect(() => new Keyring([key('k1')]).decrypt(ring.encrypt('a', place), place)).toThrow(DecryptionError);
  });

  it('should authenticate with every key, and refuse what nobody made', () => {
    const mac = ring.mac('a text');
    expect(new Keyring([two, one]).verifyMac('a text', mac)).toBe(true);
    expect(new Keyring([two]).verifyMac('a text', mac)).toBe(false);
    for (const wrong of ['', 'A', mac.slice(1), `${mac}AAAA`, ring.mac('a text ')])
      expect(ring.verifyMac('a text', wrong)).toBe(false);
  });
});

describe('cursors', () => {
  const cursors = new Cursors(ring);
  const row = (ms: number, id: string) => ({ createdAt: new Date(ms), id });

  it('should give back the position that they were made of', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.uuid(), (ms, id) => {
        const page = cursors.page('jobs', [row(ms, id), row(0, 'more')], 1, (each) => each.id);
        expect(page.data).toEqual([id]);
        expect(cursors.decode('jobs', page.next_cursor ?? '')).toEqual(row(ms, id));
        expect((page.next_cursor ?? '').length).toBeLessThanOrEqual(200);
        expect(page.next_cursor).toMatch(/^[A-Za-z0-9._~-]+$/);
      }),
    );
  });

  it('should have no next one on the last page', () => {
    for (const rows of [[], [row(1, 'a')], [row(1, 'a'), row(0, 'b')]])
      expect(cursors.page('jobs', rows, 2, (each) => each.id).next_cursor).toBeNull();
    expect(cursors.decode('jobs', undefined)).toBeUndefined();
  });

  it('should be refused when they are made up, changed, or of another list', () => {
    const cursor = cursors.seal('jobs', '1/a');
    for (const wrong of [
      `x${cursor}`,
      `${cursor}x`,
      '',
      '.',
      'a.b',
      cursor.split('.')[0] ?? '',
      new Cursors(new Keyring([two])).seal('jobs', '1/a'),
    ])
      expect(() => cursors.open('jobs', wrong)).toThrow(Problem);
    expect(() => cursors.open('images', cursor)).toThrow(Problem);
    fc.assert(fc.property(fc.string(), (text) => expect(() => cursors.open('jobs', text)).toThrow(Problem)));
  });
});
