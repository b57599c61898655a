import { describe, expect, it } from '@jest/globals';
import {
  classifyAnswer,
  classifyFailure,
  retryAfterMs,
  type Refusal,
} from '../../../src/modules/tensorpix/call-outcome.js';
import { TransportError } from '../../../src/modules/tensorpix/pool.adapter.js';
import { readCreatedJob } from '../../../src/modules/tensorpix/answers.js';

function classify(status: number, body: unknown, retryAfter?: string) {
  return classifyAnswer(
    { status, retryAfter, body: typeof body === 'string' ? body : JSON.stringify(body) },
    readCreatedJob,
  );
}

function refusalOf(status: number, body: unknown, retryAfter?: string): Refusal {
  const outcome = classify(status, body, retryAfter);
  if (outcome.kind !== 'refused') throw new Error(`is ${outcome.kind}`);
  return outcome.refusal;
}

function nonField(text: string): object {
  return { errors: {}, non_field_errors: [text] };
}

describe('the class of an answer', () => {
  it('should take a 2xx with an id for a fact', () => {
    expect(classify(201, { id: 7, status: 0, cost_usd: '1.5' })).toEqual({
      kind: 'ok',
      value: { id: 7, status: 'queued', costCredits: '1.5000' },
    });
  });

  it.each([
    ['no id', {}],
    ['a string id', { id: '7' }],
    ['a fraction as id', { id: 1.5 }],
    ['zero as id', { id: 0 }],
    ['a list', [{ id: 7 }]],
    ['HTML', '<html>ok</html>'],
    ['nothing', ''],
    ['half of a JSON', '{"id": 7, "st'],
    ['null', 'null'],
  ])('should not know what a 201 with %s did', (_, body) => {
    expect(classify(201, body)).toMatchObject({ kind: 'unknown', reason: 'unusable_answer', status: 201 });
  });

  it.each([500, 502, 503, 504, 520, 599])('should not know what a %i did', (status) => {
    expect(classify(status, '<html>Bad Gateway</html>')).toMatchObject({
      kind: 'unknown',
      reason: 'server_error',
      status,
    });
    expect(classify(status, { detail: 'Insufficient credits.' })).toMatchObject({ kind: 'unknown' });
  });

  it.each([301, 302, 304, 307])('should not know what a %i did', (status) => {
    expect(classify(status, '')).toMatchObject({ kind: 'unknown', reason: 'unusable_answer' });
  });

  it.each([
    [401, 'token_rejected'],
    [402, 'insufficient_credits'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [409, 'conflict'],
    [415, 'other'],
    [418, 'other'],
    [429, 'rate_limited'],
  ])('should take %i for a refusal: %s', (status, reason) => {
    expect(refusalOf(status, { detail: 'No.' })).toMatchObject({ reason, status, detail: 'No.' });
    const others = status === 404 ? 'other' : reason;
    expect(refusalOf(status, '<html>')).toMatchObject({ reason: others, detail: `TensorPix answered ${status}.` });
  });

  it.each([['<html>404 Not Found</html>'], [''], ['null'], [{ message: 'no Route matched with those values' }]])(
    'should not take the 404 of a proxy for an answer about a job: %j',
    (body) => {
      expect(refusalOf(404, body)).toMatchObject({ reason: 'other' });
    },
  );

  it('should tell by whether a byte was written what a lost call may have done (invariant 2)', () => {
    expect(classifyFailure(new TransportError('connection', false))).toEqual({
      kind: 'not_sent',
      reason: 'unreachable',
    });
    expect(classifyFailure(new TransportError('timeout', false))).toEqual({ kind: 'not_sent', reason: 'timeout' });
    expect(classifyFailure(new TransportError('too_late', false))).toEqual({ kind: 'not_sent', reason: 'too_late' });
    expect(classifyFailure(new TransportError('connection', true))).toMatchObject({
      kind: 'unknown',
      reason: 'connection_lost',
    });
    expect(classifyFailure(new TransportError('timeout', true))).toMatchObject({ kind: 'unknown', reason: 'timeout' });
    expect(classifyFailure(new TransportError('answer_too_large', true))).toMatchObject({ reason: 'unusable_answer' });
  });
});

describe('a 400', () => {
  it.each([
    'Insufficient credits. Please purchase more credits to continue.',
    'Not enough credits.',
    'You do not have enough credits: no credits left.',
    'Your credit balance is too low.',
    'You have run out of credits.',
    'Insufficient balance',
    'Insufficient funds',
    'Credits exhausted.',
    'More credits are required.',
    'INSUFFICIENT CREDITS',
  ])('should be about credits: %s', (text) => {
    expect(refusalOf(400, nonField(text)).reason).toBe('insufficient_credits');
    expect(refusalOf(400, { detail: text }).reason).toBe('insufficient_credits');
    expect(refusalOf(400, { error: text }).reason).toBe('insufficient_credits');
  });

  it.each([
    'Storage limit reached. Please delete some of your videos to free up storage.',
    'Your storage is full.',
    'Not enough storage.',
    'Insufficient storage space.',
    'There is no storage left.',
    'Storage quota exceeded',
  ])('should be about storage: %s', (text) => {
    expect(refusalOf(400, nonField(text)).reason).toBe('storage_full');
    expect(refusalOf(400, { detail: text }).reason).toBe('storage_full');
  });

  it.each([
    'The URL could not be parsed as a video.',
    'Enter a valid URL.',
    'This video hosting platform is not supported.',
    'Invalid pk "99" - object does not exist.',
    'At most one ML model per task group can be selected.',
    'Ensure this value is less than or equal to 51.',
    'This field is required.',
    'The video is too long: the limit is 2 hours.',
    'Resolution is too low.',
    'Daily limit of watermarked images reached.',
  ])('should be about the request: %s', (text) => {
    expect(refusalOf(400, { errors: { video_url: [text] }, non_field_errors: [] }).reason).toBe('invalid');
    expect(refusalOf(400, nonField(text)).reason).toBe('invalid');
  });

  it('should be about the request when a field is to blame, even if its message speaks of a storage limit', () => {
    const text = 'The file could not be downloaded from the storage provider: download limit exceeded.';
    expect(refusalOf(400, { errors: { video_url: [text] }, non_field_errors: [] }).reason).toBe('invalid');
  });

  it('should copy messages from both shapes that Django REST framework has', () => {
    const expected = { errors: { crf: ['too big', 'odd'] }, nonFieldErrors: [] };
    expect(refusalOf(400, { errors: { crf: ['too big', 'odd'] }, non_field_errors: [] })).toMatchObject(expected);
    expect(refusalOf(400, { crf: ['too big', 'odd'] })).toMatchObject(expected);
    expect(refusalOf(400, { crf: 'too big' })).toMatchObject({ errors: { crf: ['too big'] }, detail: 'crf: too big' });
  });

  it('should read the bare list that a ValidationError with one text becomes', () => {
    expect(refusalOf(400, ['Not enough credits.'])).toMatchObject({
      reason: 'insufficient_credits',
      detail: 'Not enough credits.',
    });
  });

  it.each([
    ['null', 'null'],
    ['a number', '5'],
    ['HTML', '<html>'],
    ['nothing', ''],
    ['strange values', { errors: { crf: [1, null, {}] }, non_field_errors: 7, detail: {} }],
    ['no object as errors', { errors: null, detail: [] }],
  ])('should survive %s', (_, body) => {
    expect(refusalOf(400, body)).toMatchObject({ reason: 'invalid', detail: 'TensorPix answered 400.', errors: {} });
  });

  it('should keep secrets, NUL and endless texts out of what is stored (invariant 10)', () => {
    const url = 'https://bucket.s3.amazonaws.com/in.mp4?X-Amz-Signature=deadbeefdeadbeef&X-Amz-Credential=abc';
    const refusal = refusalOf(400, { errors: { video_url: [`cannot read ${url}`, `a\0b${'x'.repeat(9_000)}`] } });
    const stored = JSON.stringify(refusal);
    expect(stored).not.toContain('deadbeef');
    expect(stored).not.toContain('\\u0000');
    expect(stored.length).toBeLessThan(2_000);
  });
});

describe('Retry-After', () => {
  const NOW = Date.parse('2026-11-20T09:00:00Z');

  it.each([
    ['7', '', 7_000],
    [' 7 ', '', 7_000],
    ['0', '', 0],
    ['Fri, 20 Nov 2026 09:00:30 GMT', '', 30_000],
    ['Fri, 20 Nov 2026 08:00:00 GMT', '', 0],
    ['Friday, 20-Nov-26 09:00:30 GMT', '', 30_000],
    // The form of C's asctime, which is GMT wherever this runs.
    ['Fri Nov 20 09:00:30 2026', '', 30_000],
    [undefined, 'Request was throttled. Expected available in 86 seconds.', 86_000],
    [undefined, 'Request was throttled. Expected available in 1 second.', 1_000],
    [undefined, 'Request was throttled.', null],
    ['soon', '', null],
    ['', '', null],
    ['-5', '', null],
    ['1.5', '', null],
    ['99999', '', 3_600_000],
    ['999999999999999', 'x', 3_600_000],
  ])('should read %j and %j as %j ms', (header, text, expected) => {
    expect(retryAfterMs(header, text, NOW)).toBe(expected);
  });

  it('should be read of a 429 from its header or its text', () => {
    expect(refusalOf(429, { detail: 'x' }, '3').retryAfterMs).toBe(3_000);
    expect(refusalOf(429, { detail: 'Expected available in 5 seconds.' }).retryAfterMs).toBe(5_000);
    expect(refusalOf(429, { detail: 'Request was throttled.' }).retryAfterMs).toBeNull();
  });

  it('should be read of a 503', () => {
    expect(classify(503, '', '4')).toMatchObject({ kind: 'unknown', retryAfterMs: 4_000 });
  });
});
