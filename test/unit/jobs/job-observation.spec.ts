import { describe, expect, it } from '@jest/globals';
import { observe, observeMissing, type Observed } from '../../../src/modules/jobs/job-observation.js';
import type { JobRecord } from '../../../src/modules/jobs/job-record.js';
import { RESULT, T0, at, jobRecord, seenJob } from '../../support/job-records.js';

const MINUTE = 60_000;

function afterOf(observed: Observed): JobRecord {
  if ('ignored' in observed) throw new Error(`ignored: ${observed.ignored}`);
  return observed.change.after;
}

function eventsOf(observed: Observed): string[] {
  return 'ignored' in observed ? [] : observed.change.events.map(({ type }) => type);
}

describe('an observation of a running job', () => {
  it('should start a queued job', () => {
    const observed = observe(jobRecord(), seenJob({ status: 'processing', progress: 0.1 }), at(1));
    expect(afterOf(observed)).toMatchObject({ status: 'processing', startedAt: at(1), progress: 0.1 });
    expect(eventsOf(observed)).toEqual(['job.processing']);
  });

  it('should change nothing when nothing has changed', () => {
    const job = jobRecord({ progress: 0, etaSeconds: 10 });
    expect(observe(job, seenJob(), at(1))).toEqual({ ignored: 'unchanged' });
  });

  it('should ignore a step back from processing to queued, and a status that it does not know', () => {
    const job = jobRecord({ status: 'processing', progress: 0.5 });
    expect(observe(job, seenJob({ status: 'queued' }), at(1))).toEqual({ ignored: 'backward' });
    expect(observe(job, seenJob({ status: null }), at(1))).toEqual({ ignored: 'unknown_status' });
  });

  it.each([null, 'queued'] as const)('should end its absence by whatever shows it: %s', (status) => {
    const job = jobRecord({ status: 'processing', progress: 0.5, missingSince: at(0), missingLooks: 4 });
    const observed = observe(job, seenJob({ status }), at(1));
    expect(afterOf(observed)).toMatchObject({ status: 'processing', missingSince: null, missingLooks: 0 });
    expect(eventsOf(observed)).toEqual([]);
  });

  it.each(['finished', 'failed', 'canceled'] as const)('should ignore everything about a %s job', (status) => {
    for (const seen of ['queued', 'processing', 'finished', 'failed', 'canceled', null] as const) {
      expect(observe(jobRecord({ status }), seenJob({ status: seen }), at(1))).toEqual({ ignored: 'ended' });
    }
    expect(observeMissing(jobRecord({ status }), at(1))).toEqual({ ignored: 'ended' });
  });

  it('should never let progress fall, nor lose it', () => {
    const job = jobRecord({ status: 'processing', progress: 0.5, reportedProgress: 0.5 });
    expect(afterOf(observe(job, seenJob({ status: 'processing', progress: 0.3 }), at(1))).progress).toBe(0.5);
    expect(afterOf(observe(job, seenJob({ status: 'processing', progress: null }), at(1))).progress).toBe(0.5);
  });

  it('should keep the cost that TensorPix once said', () => {
    const seen = seenJob({ status: 'processing', costCredits: null });
    expect(afterOf(observe(jobRecord({ costCredits: '2.0000' }), seen, at(1))).costCredits).toBe('2.0000');
  });

  it('should make progress an event at every step of 0.05 and at no smaller one (invariant 15)', () => {
    let job = jobRecord({ status: 'processing', progress: 0, reportedProgress: 0 });
    const reported: number[] = [];
    for (let hundredths = 1; hundredths < 100; hundredths += 1) {
      const observed = observe(job, seenJob({ status: 'processing', progress: hundredths / 100 }), at(hundredths));
      if (eventsOf(observed).length > 0) reported.push(hundredths);
      job = afterOf(observed);
    }
    expect(reported).toEqual(Array.from({ length: 19 }, (_, i) => (i + 1) * 5));
  });

  it('should forget an absence when the job is seen again', () => {
    const job = jobRecord({ missingSince: T0, missingLooks: 3 });
    expect(afterOf(observe(job, seenJob(), at(1)))).toMatchObject({ missingSince: null, missingLooks: 0 });
  });
});

describe('an observation of a job that has ended', () => {
  it('should finish with the result', () => {
    const observed = observe(jobRecord(), seenJob({ status: 'finished', output: RESULT }), at(1));
    expect(afterOf(observed)).toMatchObject({
      status: 'finished',
      progress: 1,
      etaSeconds: null,
      startedAt: at(1),
      finishedAt: at(1),
      output: { url: RESULT.url, tensorpix_video_id: 9, width: 1920, height: 1080, size: 1_000 },
    });
  });

  it('should wait for the URL of the result, noting so once, and finish without it after five minutes', () => {
    const seen = seenJob({ status: 'finished' });
    const first = observe(jobRecord({ status: 'processing' }), seen, at(0));
    expect(eventsOf(first)).toEqual(['job.result_awaited']);
    const waiting = afterOf(first);
    expect(waiting).toMatchObject({ status: 'processing', resultAwaitedSince: T0 });
    expect(observe(waiting, seen, at(5 * MINUTE - 1))).toEqual({ ignored: 'unchanged' });
    expect(afterOf(observe(waiting, seen, at(5 * MINUTE)))).toMatchObject({
      status: 'finished',
      output: { url: null },
    });
  });

  it('should not start the five minutes anew when TensorPix steps back from 2 to 1 (invariant 5)', () => {
    const waiting = jobRecord({ status: 'processing', progress: 1, resultAwaitedSince: T0 });
    const observed = observe(waiting, seenJob({ status: 'processing', progress: 0.9 }), at(MINUTE));
    expect('ignored' in observed ? observed.ignored : eventsOf(observed)).toBe('backward');
  });

  it('should finish, not lose, a job that TensorPix called finished before it vanished (contract, section 4)', () => {
    const vanished = jobRecord({
      status: 'processing',
      resultAwaitedSince: T0,
      missingSince: at(1_000),
      missingLooks: 20,
    });
    expect(afterOf(observeMissing(vanished, at(11 * MINUTE))).status).toBe('finished');
  });

  it('should fail with upstream_failed, and cancel, as TensorPix says', () => {
    const failed = afterOf(observe(jobRecord(), seenJob({ status: 'failed' }), at(1)));
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'upstream_failed' }, finishedAt: at(1) });
    expect(afterOf(observe(jobRecord(), seenJob({ status: 'canceled' }), at(1))).status).toBe('canceled');
  });
});

describe('an observation that TensorPix does not know the job', () => {
  it('should note it once and lose the job only after several looks over ten minutes', () => {
    let job = jobRecord();
    const events: string[] = [];
    for (let minute = 0; minute < 10; minute += 1) {
      const observed = observeMissing(job, at(minute * MINUTE));
      events.push(...eventsOf(observed));
      job = afterOf(observed);
    }
    expect(job).toMatchObject({ status: 'queued', missingLooks: 10, missingSince: T0 });
    expect(events).toEqual(['job.missing_at_tensorpix']);
    expect(afterOf(observeMissing(job, at(10 * MINUTE)))).toMatchObject({
      status: 'failed',
      error: { code: 'upstream_lost' },
    });
  });

  it('should not lose a job for two looks that lie ten minutes apart', () => {
    const once = afterOf(observeMissing(jobRecord(), T0));
    expect(afterOf(observeMissing(once, at(11 * MINUTE))).status).toBe('queued');
  });
});
