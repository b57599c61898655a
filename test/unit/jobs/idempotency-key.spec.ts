import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Problem } from '../../../src/common/errors/problem.js';
import { canonicalJson } from '../../../src/modules/jobs/canonical-json.js';
import { fingerprintOf, readIdempotencyKey } from '../../../src/modules/jobs/idempotency/idempotency-key.js';

function refusal(values: string[]): Problem {
  try {
    readIdempotencyKey(values);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('was taken');
}

describe('the Idempotency-Key header', () => {
  it('should be optional', () => {
    expect(readIdempotencyKey([])).toBeNull();
  });

  it.each([
    ['as it is', 'abc-123', 'abc-123'],
    ['without its quotes', '"abc-123"', 'abc-123'],
    ['with a quote and a backslash from escapes', '"a\\"b\\\\c"', 'a"b\\c'],
    ['with backslashes outside of quotes', 'a\\b\\\\', 'a\\b\\\\'],
    ['with a quote that does not end', '"abc', '"abc'],
    ['with a quote that does not begin', 'abc"', 'abc"'],
    ['with a quote in the middle', '"a"b"', '"a"b"'],
    ['with an escape that is none', '"a\\n"', '"a\\n"'],
    ['with parameters behind the string', '"a";b=1', '"a";b=1'],
    ['with spaces inside', 'a b', 'a b'],
    ['of one character', '~', '~'],
    ['a quote alone', '"', '"'],
    ['of 255 characters', 'k'.repeat(255), 'k'.repeat(255)],
    ['of 255 characters in quotes', `"${'k'.repeat(255)}"`, 'k'.repeat(255)],
    ['of 255 characters, all escaped', `"${'\\"'.repeat(255)}"`, '"'.repeat(255)],
  ])('should be read %s', (_, header, key) => {
    expect(readIdempotencyKey([header])).toBe(key);
  });

  it.each([
    ['empty', [''], 'must not be empty'],
    ['empty quotes', ['""'], 'must not be empty'],
    ['spaces', ['   '], 'must not be empty'],
    ['spaces in quotes', ['"   "'], 'must not be empty'],
    ['256 characters', ['k'.repeat(256)], 'must not be longer than 255 characters'],
    ['256 characters in quotes', [`"${'k'.repeat(256)}"`], 'must not be longer than 255 characters'],
    ['é', ['é'], 'must be printable ASCII'],
    ['UTF-8 as Node reads it', ['clÃ©'], 'must be printable ASCII'],
    ['a tab', ['a\tb'], 'must be printable ASCII'],
    ['a tab in quotes', ['"a\tb"'], 'must be printable ASCII'],
    ['a line break', ['a\nb'], 'must be printable ASCII'],
    ['a line break at the end', ['a\n'], 'must be printable ASCII'],
    ['NUL', ['a\0'], 'must be printable ASCII'],
    ['delete', ['a\x7f'], 'must be printable ASCII'],
    ['a high byte in quotes', ['"\xff"'], 'must be printable ASCII'],
    ['two headers', ['a', 'b'], 'must be sent once'],
    ['two equal headers', ['a', 'a'], 'must be sent once'],
    ['an empty header before another', ['', 'a'], 'must be sent once'],
  ])('should be refused by name: %s', (_, values, message) => {
    const problem = refusal(values);
    expect([problem.status, problem.code]).toEqual([400, 'validation_failed']);
    expect(problem.options.errors).toEqual({ 'Idempotency-Key': [message] });
  });

  it('should be read from its quoted form as what was quoted, and never be longer than 255 characters', () => {
    const printable = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    });
    fc.assert(
      fc.property(printable, (key) => {
        fc.pre(key.trim() !== '' && key.length <= 255);
        expect(readIdempotencyKey([`"${key.replace(/["\\]/g, '\\$&')}"`])).toBe(key);
      }),
    );
  });
});

const REQUEST = {
  kind: 'video',
  input: { video_url: 'https://media.example.com/in.mp4', ml_models: [1, 4], crf: 20 },
  callbackUrl: null,
  metadata: { a: '1', b: '2' },
};

describe('the fingerprint of a request', () => {
  it('should be 32 bytes in hex', () => {
    expect(fingerprintOf(REQUEST)).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([
    ['the order of fields', { ...REQUEST, input: { crf: 20, ml_models: [1, 4], video_url: REQUEST.input.video_url } }],
    ['the order of metadata', { ...REQUEST, metadata: { b: '2', a: '1' } }],
    ['null and absent', { kind: REQUEST.kind, input: REQUEST.input, metadata: REQUEST.metadata }],
    ['undefined and absent', { ...REQUEST, externalId: undefined, input: { ...REQUEST.input, grain: undefined } }],
    ['null and absent inside', { ...REQUEST, input: { ...REQUEST.input, start_frame: null } }],
    ['how a number was written', { ...REQUEST, input: { ...REQUEST.input, crf: Number('2.0e1') } }],
  ])('should not depend on %s', (_, other) => {
    expect(fingerprintOf(other)).toBe(fingerprintOf(REQUEST));
  });

  it.each([
    ['a value', { ...REQUEST, input: { ...REQUEST.input, crf: 21 } }],
    ['the type of a value', { ...REQUEST, input: { ...REQUEST.input, crf: '20' } }],
    ['the order of a list', { ...REQUEST, input: { ...REQUEST.input, ml_models: [4, 1] } }],
    ['the length of a list', { ...REQUEST, input: { ...REQUEST.input, ml_models: [1] } }],
    ['the borders of list items', { ...REQUEST, input: { ...REQUEST.input, ml_models: [14] } }],
    ['false and absent', { ...REQUEST, input: { ...REQUEST.input, preview: false } }],
    ['zero and absent', { ...REQUEST, input: { ...REQUEST.input, grain: 0 } }],
    ['empty text and absent', { ...REQUEST, input: { ...REQUEST.input, chroma_subsampling: '' } }],
    ['the name of a field', { ...REQUEST, metadata: { a: '1', c: '2' } }],
    ['the level of a field', { ...REQUEST, a: '1', metadata: { b: '2' } }],
    ['the kind', { ...REQUEST, kind: 'image' }],
  ])('should depend on %s', (_, other) => {
    expect(fingerprintOf(other)).not.toBe(fingerprintOf(REQUEST));
  });

  it('should be that of equal values and of no others', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value), fc.dictionary(fc.string(), value), (one, other) => {
        const equal = canonicalJson(one) === canonicalJson(other);
        expect(fingerprintOf(one) === fingerprintOf(other)).toBe(equal);
        const shuffled = Object.fromEntries(Object.entries(one).reverse());
        expect(fingerprintOf(shuffled)).toBe(fingerprintOf(one));
      }),
    );
  });

  it('should keep nulls of lists, because their place counts', () => {
    expect(canonicalJson({ a: [null, 1] })).not.toBe(canonicalJson({ a: [1] }));
  });
});
