import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  readBalance,
  readCreatedJob,
  readEnhancedImage,
  readJob,
  readJobPage,
  readStatus,
} from '../../../src/modules/tensorpix/answers.js';

const STATUSES = ['queued', 'processing', 'finished', 'failed', 'canceled', null];
const READERS = { readCreatedJob, readJob, readJobPage, readEnhancedImage, readBalance };

describe("TensorPix's answers", () => {
  it.each(Object.entries(READERS))('should never make %s throw, whatever comes', (_, read) => {
    fc.assert(
      fc.property(fc.anything({ withDate: true, withNullPrototype: true }), (value) => {
        read(value);
        read({ id: 1, status: value, processing_progress: value, eta_s: value, cost_usd: value, output_video: value });
        read({
          results: [value],
          count: value,
          next: value,
          balance_usd: value,
          enhanced_url: value,
          enhanced_img_id: value,
        });
      }),
      { numRuns: 500 },
    );
  });

  it('should have only numbers, texts and nulls of the promised ranges, whatever comes', () => {
    const fields = {
      processing_progress: fc.anything(),
      eta_s: fc.anything(),
      cost_usd: fc.anything(),
      status: fc.anything(),
    };
    fc.assert(
      fc.property(fc.record(fields), (value) => {
        const job = readJob({ id: 1, ...value });
        if (job === null) throw new Error('an id is enough');
        const { progress, etaSeconds, costCredits, status } = job;
        expect(progress === null || (progress >= 0 && progress <= 1)).toBe(true);
        expect(etaSeconds === null || (etaSeconds >= 0 && Number.isFinite(etaSeconds))).toBe(true);
        expect(costCredits ?? '0.0000').toMatch(/^-?\d{1,10}\.\d{4}$/);
        expect(STATUSES).toContain(status);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [0, 'queued'],
    [1, 'processing'],
    [2, 'finished'],
    [-1, 'failed'],
    [-2, 'canceled'],
    ['2', 'finished'],
    ['Finished', 'finished'],
    ['In Queue', 'queued'],
    ['CANCELLED', 'canceled'],
    [3, null],
    [-3, null],
    ['paused', null],
    ['', null],
    [null, null],
    [undefined, null],
    [true, null],
    [1.5, null],
    [Number.NaN, null],
  ])('should read the status %p as %p', (value, expected) => {
    expect(readStatus(value)).toBe(expected);
  });

  it.each(['constructor', 'toString', 'valueOf', '__proto__', 'hasOwnProperty'])(
    'should not know the status %s, which every object has',
    (word) => {
      expect(readStatus(word)).toBeNull();
    },
  );

  it.each(['1', 1.5, 0, -1, null, undefined, {}, 2 ** 53, '1; drop table jobs'])(
    'should not take %p for an id',
    (id) => {
      expect(readCreatedJob({ id, status: 0 })).toBeNull();
      expect(readJob({ id, status: 0 })).toBeNull();
    },
  );

  it.each([
    ['1.25', '1.2500'],
    ['0', '0.0000'],
    [3, '3.0000'],
    [0.1, '0.1000'],
    ['1.250000', '1.2500'],
    ['12345678901.0', null],
    ['1e5', null],
    ['NaN', null],
    ['', null],
    [Number.POSITIVE_INFINITY, null],
    [null, null],
  ])('should read the amount %p as %p', (value, expected) => {
    expect(readBalance({ balance_usd: value })).toBe(expected);
  });

  it('should see no result without an id and a URL that works over http', () => {
    const output = (file: unknown) => readJob({ id: 1, status: 2, output_video: { id: 4, file } })?.output ?? null;
    expect(output('https://x.example/o.mp4')).toMatchObject({ id: 4, url: 'https://x.example/o.mp4', width: null });
    for (const file of [
      null,
      '',
      'o.mp4',
      'javascript:alert(1)',
      'file:///etc/passwd',
      `https://x.example/${'a'.repeat(9_000)}`,
    ])
      expect(output(file)).toBeNull();
    expect(readJob({ id: 1, output_video: { file: 'https://x.example/o.mp4' } })?.output).toBeNull();
  });

  it('should keep the good jobs of a page with bad ones', () => {
    const page = readJobPage({
      count: 3,
      next: 'https://x.example/?offset=3',
      results: [{ id: 1 }, 'x', { id: 'a' }, null],
    });
    expect(page).toMatchObject({ count: 3, hasNext: true, entries: 4 });
    expect(page?.items.map(({ id }) => id)).toEqual([1]);
    expect(readJobPage({ count: 3 })).toBeNull();
    expect(readJobPage({ results: [] })).toEqual({ count: null, hasNext: false, entries: 0, items: [] });
  });

  it('should want an id and a URL of an image', () => {
    const url = 'https://x.example/i.png';
    expect(readEnhancedImage({ enhanced_url: url, enhanced_img_id: 'a' })).toEqual({ id: 'a', url });
    expect(readEnhancedImage({ enhanced_url: url, enhanced_img_id: 5 })).toEqual({ id: '5', url });
    for (const bad of [
      { enhanced_url: url },
      { enhanced_img_id: 'a' },
      { enhanced_url: 'i.png', enhanced_img_id: 'a' },
      null,
      '',
      [],
    ])
      expect(readEnhancedImage(bad)).toBeNull();
  });
});
