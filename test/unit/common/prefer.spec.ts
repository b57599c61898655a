import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parsePrefer } from '../../../src/common/http/prefer.js';

const NOTHING = { waitSeconds: undefined, respondAsync: false, strict: false };

describe('Prefer', () => {
  it.each<[string | string[] | undefined, object]>([
    [undefined, {}],
    ['', {}],
    ['wait=10', { waitSeconds: 10 }],
    ['wait=0', { waitSeconds: 0 }],
    ['wait=60', { waitSeconds: 60 }],
    ['wait=61', { waitSeconds: 60 }],
    ['wait=999999', { waitSeconds: 60 }],
    ['Wait = "10"', { waitSeconds: 10 }],
    ['wait=10; a=b', { waitSeconds: 10 }],
    ['wait=5, wait=10', { waitSeconds: 5 }],
    ['respond-async', { respondAsync: true }],
    ['Respond-Async, wait=3', { respondAsync: true, waitSeconds: 3 }],
    ['handling=strict', { strict: true }],
    ['handling="strict"', { strict: true }],
    ['HANDLING=Strict', { strict: true }],
    ['handling=lenient', {}],
    ['handling=lenient, handling=strict', {}],
    ['handling=strict, handling=lenient', { strict: true }],
    [['wait=7', 'respond-async'], { waitSeconds: 7, respondAsync: true }],
    ['wait', {}],
    ['wait=', {}],
    ['wait=-1', {}],
    ['wait=1.5', {}],
    ['wait=1e1', {}],
    ['wait=ten', {}],
    ['wait=0x10', {}],
    ['waiting=10', {}],
    ['respond-async-please', {}],
    ['return=minimal', {}],
    [',,;;==', {}],
  ])('should read %j', (header, preferences) => {
    expect(parsePrefer(header)).toEqual({ ...NOTHING, ...preferences });
  });

  it('should never fail and never wait longer than a minute', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        const { waitSeconds = 0 } = parsePrefer(header);
        expect(Number.isInteger(waitSeconds) && waitSeconds >= 0 && waitSeconds <= 60).toBe(true);
      }),
    );
  });
});
