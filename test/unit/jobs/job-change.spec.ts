import { describe, expect, it } from '@jest/globals';
import { changeJob } from '../../../src/modules/jobs/job-change.js';
import { IllegalTransitionError } from '../../../src/modules/jobs/job-state.js';
import { RESULT, T0, at, jobRecord } from '../../support/job-records.js';

interface Body {
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

describe('a change of a job', () => {
  it('should number its events from the row on, without gaps (invariant 6)', () => {
    const { events, after } = changeJob(jobRecord({ sequence: 7 }), { status: 'processing' }, at(5), {
      steps: [{ name: 'first' }, { name: 'second', data: { a: 1 } }],
    });
    expect(events).toEqual([
      { sequence: 8, type: 'job.first', data: {} },
      { sequence: 9, type: 'job.second', data: { a: 1 } },
      { sequence: 10, type: 'job.processing', data: {} },
    ]);
    expect(after).toMatchObject({ status: 'processing', sequence: 10, updatedAt: at(5) });
  });

  it('should make no event, and leave the number alone, when no state changes', () => {
    const { events, webhooks, after } = changeJob(jobRecord({ sequence: 7 }), { etaSeconds: 4 }, at(5));
    expect({ events, webhooks, sequence: after.sequence }).toEqual({ events: [], webhooks: [], sequence: 7 });
  });

  it('should make no event of a state that the job has already', () => {
    expect(changeJob(jobRecord({ status: 'processing' }), { status: 'processing' }, at(5)).events).toEqual([]);
  });

  it('should throw for a move that the table does not have', () => {
    expect(() => changeJob(jobRecord({ status: 'finished' }), { status: 'processing' }, at(5))).toThrow(
      IllegalTransitionError,
    );
  });

  it('should not touch the record that it was made from', () => {
    const before = Object.freeze(jobRecord());
    expect(changeJob(before, { status: 'finished' }, at(5)).before).toBe(before);
  });

  it('should close the row when the job ends', () => {
    const before = jobRecord({
      status: 'submitting',
      statusReason: 'sending',
      etaSeconds: 3,
      leaseToken: 'x',
      leaseExpiresAt: at(9),
    });
    expect(changeJob(before, { status: 'failed' }, at(5)).after).toMatchObject({
      finishedAt: at(5),
      statusReason: null,
      etaSeconds: null,
      leaseToken: null,
      leaseExpiresAt: null,
      dueAt: null,
    });
  });

  it('should tell the callback of the types that it subscribed to, and leave the others to standing endpoints', () => {
    const job = jobRecord({ callbackEvents: ['job.processing'] });
    const { webhooks } = changeJob(job, { status: 'processing' }, at(5), { steps: [{ name: 'progress' }] });
    expect(webhooks.map(({ type, sequence, url, ends }) => ({ type, sequence, url, ends }))).toEqual([
      { type: 'job.progress', sequence: 3, url: null, ends: false },
      { type: 'job.processing', sequence: 4, url: 'https://hooks.example.com/x', ends: false },
    ]);
    expect(changeJob(job, { status: 'finished' }, at(5)).webhooks).toMatchObject([{ url: null, ends: true }]);
  });

  it('should not tell a callback of internal steps, even if it asked for them', () => {
    const job = jobRecord({ callbackEvents: ['job.parked', 'job.submitting'] });
    expect(changeJob(job, {}, at(5), { steps: [{ name: 'parked' }] }).webhooks).toEqual([]);
  });

  it('should tell nobody when the caller gets the fact itself, and no callback when the job has none', () => {
    expect(changeJob(jobRecord({ callbackUrl: null }), { status: 'failed' }, at(5)).webhooks).toMatchObject([
      { type: 'job.failed', url: null },
    ]);
    const { webhooks, events } = changeJob(jobRecord(), { status: 'failed' }, at(5), { notify: false });
    expect(webhooks).toEqual([]);
    expect(events).toHaveLength(1);
  });

  it('should name the events of an image after it', () => {
    const image = jobRecord({ kind: 'image', status: 'submitting' });
    const [delivery] = changeJob(image, { status: 'finished' }, at(5)).webhooks;
    expect(delivery?.type).toBe('image.finished');
    expect((JSON.parse(delivery?.body ?? '') as Body).data).not.toHaveProperty('tensorpix_id');
  });

  it('should put the resource as of the event into the body, without input and callback', () => {
    const [delivery] = changeJob(jobRecord({ metadata: { a: 'b' } }), { status: 'processing' }, at(5)).webhooks;
    const body = JSON.parse(delivery?.body ?? '') as Body;
    expect(body).toMatchObject({ type: 'job.processing', timestamp: at(5).toISOString() });
    expect(body.data).toMatchObject({
      status: 'processing',
      sequence: 3,
      metadata: { a: 'b' },
      updated_at: at(5).toISOString(),
    });
    expect(body.data).not.toHaveProperty('input');
    expect(body.data).not.toHaveProperty('callback');
    expect(Object.keys(body.data).filter((name) => /lease|tenant|token|parks|due|attempt/.test(name))).toEqual([]);
    expect(body.data.created_at).toBe(T0.toISOString());
  });
});

describe('the body of a webhook', () => {
  const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`key-${i}`, 'x'.repeat(490)]));
  const bytes = (job: ReturnType<typeof changeJob>) => Buffer.byteLength(job.webhooks.at(-1)?.body ?? '');

  it('should stay under 20 kB with the largest metadata and long presigned URLs (contract, section 7)', () => {
    const long = (name: string) => `https://storage.example.com/${name}?sig=${'s'.repeat(8_000)}`;
    const output = {
      url: long('out.mp4'),
      expires_at: null,
      tensorpix_video_id: RESULT.id,
      width: 1,
      height: 1,
      size: 1,
      thumbnail_url: long('thumbnail.jpg'),
    };
    expect(bytes(changeJob(jobRecord({ metadata }), { status: 'finished', output }, at(5)))).toBeLessThan(20_000);
  });

  it('should stay under 20 kB when TensorPix refuses with many long messages', () => {
    const texts = Array.from({ length: 20 }, () => 'm'.repeat(500));
    const errors = { video_url: texts, crf: texts, codec: texts };
    const error = { code: 'validation_failed', detail: 'x', errors, non_field_errors: texts };
    const refused = changeJob(jobRecord({ status: 'submitting', metadata }), { status: 'failed', error }, at(5));
    expect(bytes(refused)).toBeLessThan(20_000);
  });
});
