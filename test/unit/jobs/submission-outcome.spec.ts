import { describe, expect, it } from '@jest/globals';
import { changeJob } from '../../../src/modules/jobs/job-change.js';
import type { JobRecord } from '../../../src/modules/jobs/job-record.js';
import { settle, settleExpired } from '../../../src/modules/jobs/submission-change.js';
import { decide, type Decision, type SubmissionResult } from '../../../src/modules/jobs/submission-outcome.js';
import type {
  CallOutcome,
  Refusal,
  RefusalReason,
  UnknownReason,
} from '../../../src/modules/tensorpix/call-outcome.js';
import { at, jobRecord } from '../../support/job-records.js';

const SUBMITTING = {
  status: 'submitting',
  statusReason: 'sending',
  tensorpixId: null,
  submittedAt: null,
  leaseToken: 'lease',
} as const;
const VIDEO = jobRecord({ ...SUBMITTING, leaseExpiresAt: at(70_000) });
const ASYNC = { ...VIDEO, parks: true };
const FREE: JobRecord = { ...VIDEO, kind: 'image', input: { watermark: true } };
const PAID: JobRecord = { ...VIDEO, kind: 'image', input: { watermark: false } };

function refused(
  reason: RefusalReason,
  status = 400,
  retryAfterMs: number | null = null,
): CallOutcome<SubmissionResult> {
  const refusal: Refusal = {
    reason,
    status,
    detail: 'no',
    worded: true,
    errors: { crf: ['bad'] },
    nonFieldErrors: ['x'],
    retryAfterMs,
  };
  return { kind: 'refused', refusal };
}

function unknown(reason: UnknownReason, retryAfterMs: number | null = null): CallOutcome<SubmissionResult> {
  return { kind: 'unknown', reason, status: null, retryAfterMs };
}

const UNREACHABLE: CallOutcome<SubmissionResult> = { kind: 'not_sent', reason: 'unreachable' };

/** `park rate_limited`, `fail validation_failed`, …: a decision in one phrase. */
function phrase(decision: Decision): string {
  if (decision.kind === 'park') return `park ${decision.reason}`;
  return decision.kind === 'fail' ? `fail ${decision.error.code}` : decision.kind;
}

const UNKNOWNS: UnknownReason[] = ['timeout', 'connection_lost', 'server_error', 'unusable_answer'];
const ACCOUNT: [RefusalReason, string, string][] = [
  ['insufficient_credits', 'insufficient_credits', 'insufficient_credits'],
  ['storage_full', 'storage_full', 'storage_full'],
  ['token_rejected', 'token_rejected', 'upstream_token_rejected'],
];

describe('what follows from a call', () => {
  it('should bind the job, or finish the image, that TensorPix made', () => {
    const created = { id: 5, status: 'queued', costCredits: null } as const;
    expect(decide(VIDEO, { kind: 'ok', value: created }, true)).toEqual({ kind: 'bind', created });
    const image = { id: 'i', url: 'https://x.example/i.png' };
    expect(decide(PAID, { kind: 'ok', value: image }, false)).toEqual({ kind: 'finish', image });
  });

  it.each(UNKNOWNS)(
    'should leave a video unconfirmed after %s, asynchronous and strict too (invariant 2)',
    (reason) => {
      for (const job of [VIDEO, ASYNC])
        for (const strict of [true, false])
          expect(decide(job, unknown(reason), strict)).toMatchObject({
            kind: 'unconfirm',
            timedOut: reason === 'timeout',
          });
    },
  );

  it.each(UNKNOWNS)('should repeat a free image and give up a paid one after %s', (reason) => {
    expect(phrase(decide(FREE, unknown(reason), false))).toBe('park upstream_unavailable');
    expect(phrase(decide(PAID, unknown(reason), false))).toBe('fail outcome_unknown');
    expect(phrase(decide(PAID, unknown(reason), true))).toBe('fail outcome_unknown');
    expect(phrase(decide(FREE, unknown(reason), true))).toBe(
      reason === 'timeout' ? 'fail upstream_timeout' : 'fail upstream_error',
    );
  });

  it('should park what was certainly not sent, unless the caller is strict', () => {
    for (const job of [VIDEO, ASYNC, FREE, PAID]) {
      expect(phrase(decide(job, UNREACHABLE, false))).toBe('park upstream_unavailable');
      expect(phrase(decide(job, UNREACHABLE, true))).toBe('fail upstream_unreachable');
    }
  });

  it('should park under throttling for as long as TensorPix asked, and let the token rest, unless strict', () => {
    expect(decide(VIDEO, refused('rate_limited', 429, 7_000), false)).toEqual({
      kind: 'park',
      reason: 'rate_limited',
      retryInMs: 7_000,
      scope: 'token',
    });
    expect(phrase(decide(VIDEO, refused('rate_limited', 429, 7_000), true))).toBe('fail rate_limited');
  });

  it('should never come back at once, whatever Retry-After says', () => {
    const decisions = [
      decide(VIDEO, refused('rate_limited', 429, 0), false, () => 0),
      decide(VIDEO, refused('rate_limited', 429, null), false, () => 0),
      decide(FREE, unknown('server_error', 0), false, () => 0),
      decide(VIDEO, UNREACHABLE, false, () => 0),
    ];
    for (const decision of decisions) {
      expect(decision).toMatchObject({ kind: 'park' });
      expect(decision.kind === 'park' ? decision.retryInMs : 0).toBeGreaterThanOrEqual(500);
    }
  });

  it('should wait longer after every attempt, up to five minutes', () => {
    const waits = [1, 2, 3, 10, 60].map((attempt) => {
      const decision = decide({ ...VIDEO, attempt }, UNREACHABLE, false, () => 1);
      return decision.kind === 'park' ? decision.retryInMs : 0;
    });
    expect(waits).toEqual([2_000, 4_000, 8_000, 300_000, 300_000]);
  });

  it.each(ACCOUNT)('should park an asynchronous job for %s and fail one whose caller waits', (reason, parked, code) => {
    expect(phrase(decide(ASYNC, refused(reason), false))).toBe(`park ${parked}`);
    expect(phrase(decide(VIDEO, refused(reason), false))).toBe(`fail ${code}`);
    expect(phrase(decide(VIDEO, refused(reason), true))).toBe(`fail ${code}`);
  });

  it.each<[RefusalReason, string]>([
    ['invalid', 'validation_failed'],
    ['forbidden', 'upstream_forbidden'],
    ['not_found', 'upstream_error'],
    ['conflict', 'upstream_error'],
    ['other', 'upstream_error'],
  ])('should fail any job for %s with %s', (reason, code) => {
    for (const job of [VIDEO, ASYNC, FREE, PAID])
      expect(phrase(decide(job, refused(reason), false))).toBe(`fail ${code}`);
  });

  it('should copy the messages of a 400, and of nothing else', () => {
    expect(decide(VIDEO, refused('invalid'), false)).toEqual({
      kind: 'fail',
      error: { code: 'validation_failed', detail: 'no', errors: { crf: ['bad'] }, non_field_errors: ['x'] },
    });
    expect(decide(VIDEO, refused('forbidden', 403), false)).toEqual({
      kind: 'fail',
      error: { code: 'upstream_forbidden', detail: "TensorPix forbids it to the tenant's token: no" },
    });
    // A client would take it for the gateway's own key.
    expect(decide(VIDEO, refused('token_rejected', 401), false)).toEqual({
      kind: 'fail',
      error: { code: 'upstream_token_rejected', detail: "TensorPix rejects the tenant's token: no" },
    });
  });
});

describe('the change that follows', () => {
  const decisions: Decision[] = [
    { kind: 'bind', created: { id: 5, status: 'queued', costCredits: null } },
    { kind: 'park', reason: 'rate_limited', retryInMs: 5, scope: 'token' },
    { kind: 'unconfirm', statusReason: 'upstream_unavailable', cause: 'timeout', timedOut: true },
    { kind: 'fail', error: { code: 'x', detail: 'y' } },
  ];

  it.each(decisions)('should leave a row with either a due time or no lease: $kind', (decision) => {
    const { after } = settle(VIDEO, decision, at(1), false);
    expect(after).toMatchObject({ leaseToken: null, leaseExpiresAt: null });
    expect(after.dueAt !== null).toBe(after.status === 'submitting');
  });

  it('should tell the callback of a refusal unless the caller gets it', () => {
    const fail: Decision = { kind: 'fail', error: { code: 'x', detail: 'y' } };
    expect(settle(VIDEO, fail, at(1), true).webhooks).toEqual([]);
    expect(settle(VIDEO, fail, at(1), false).webhooks.map(({ type }) => type)).toEqual(['job.failed']);
  });

  it('should cancel instead of parking when a cancel was asked for meanwhile', () => {
    const wanted = { ...VIDEO, cancelRequestedAt: at(0) };
    expect(
      settle(wanted, { kind: 'park', reason: 'rate_limited', retryInMs: 5, scope: 'token' }, at(1), false).after.status,
    ).toBe('canceled');
  });

  it('should say queued first for whatever ended state TensorPix answers a create with', () => {
    for (const status of ['queued', 'finished', 'failed', 'canceled'] as const) {
      const change = settle(VIDEO, { kind: 'bind', created: { id: 5, status, costCredits: '1.0000' } }, at(1), false);
      expect(change.after).toMatchObject({
        status: 'queued',
        tensorpixId: 5,
        costCredits: '1.0000',
        submittedAt: at(1),
      });
    }
  });

  it('should judge a row whose sender died by what its call may have cost (invariant 2)', () => {
    expect(settleExpired(VIDEO, at(1)).after).toMatchObject({ status: 'unconfirmed', leaseToken: null, dueAt: null });
    expect(settleExpired(FREE, at(1)).after).toMatchObject({ status: 'submitting', leaseToken: null, dueAt: at(1) });
    expect(settleExpired(PAID, at(1)).after).toMatchObject({ status: 'failed', error: { code: 'outcome_unknown' } });
  });

  it('should keep the numbers going over several changes (invariant 6)', () => {
    const parked = settle(VIDEO, { kind: 'park', reason: 'rate_limited', retryInMs: 5, scope: 'token' }, at(1), false);
    const failed = changeJob(parked.after, { status: 'failed' }, at(2));
    expect([...parked.events, ...failed.events].map(({ sequence }) => sequence)).toEqual([3, 4]);
  });
});
