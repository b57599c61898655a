import { Problem } from '../../common/errors/problem.js';
import type { KeyEffect } from './idempotency/idempotency.sql.js';
import type { CallbackState, JobRecord } from './job-record.js';
import { jobPath, jobView, type JobView } from './job-resource.js';
import { submissionProblem } from './submission-problem.js';
import type { Submitted } from './submission.service.js';

/** The answer of a create: 201 when TensorPix has it, 202 when the gateway goes on by itself. */
export interface Created {
  status: number;
  location: string;
  /** the job, or the exact text of an answer that was stored */
  body: JobView | string;
  /** set when an idempotency key gives an answer again */
  replayed: boolean;
}

/** @returns the answer of a create whose call has come to an end */
export function answerOf({ job, decision, retryAfterMs }: Submitted, strict: boolean): Created | Problem {
  const timedOut = decision?.kind === 'unconfirm' && decision.timedOut;
  if (job.status === 'failed' || (strict && job.status === 'unconfirmed'))
    return submissionProblem(job, { timedOut, retryAfterMs });
  return accepted(job);
}

/** The answer that a row gives as it is now. */
export function accepted(job: JobRecord, callback: CallbackState = undeliveredYet(job)): Created {
  const there = job.tensorpixId !== null || job.status === 'finished';
  return { status: there ? 201 : 202, location: jobPath(job), body: jobView(job, callback), replayed: false };
}

/** What has become of a row, told to a key that has no answer of its own. */
export function becameOf(job: JobRecord, callback: CallbackState): Created | Problem {
  return isLastWord(job) ? submissionProblem(job) : accepted(job, callback);
}

/**
 * What an answer does to the key that asked for it (contract, section 4): 201 and TensorPix's 400 about the request are given
 * again; a 202 and an unknown outcome answer with what becomes of the row; what was about the account or the load frees it.
 */
export function keyEffectOf(submitted: Submitted, strict: boolean, requestId: string): KeyEffect {
  const { job } = submitted;
  const answer = answerOf(submitted, strict);
  if (!(answer instanceof Problem)) {
    return answer.status === 201
      ? { kind: 'answer', status: 201, body: JSON.stringify(answer.body) }
      : { kind: 'open' };
  }
  // Also when its result came after all: the key shows it.
  if (job.status === 'unconfirmed' || job.output !== null) return { kind: 'open' };
  if (isLastWord(job)) return { kind: 'answer', status: answer.status, body: JSON.stringify(answer.toBody(requestId)) };
  return { kind: 'free' };
}

/**
 * A failure that its key answers with from then on: TensorPix's 400 about the request, and a paid image of unknown outcome, for
 * which a new key is a new charge, and must be a new decision.
 */
function isLastWord({ kind, error, output }: JobRecord): boolean {
  const isUnknown = kind === 'image' && error?.code === 'outcome_unknown' && output === null;
  return error?.code === 'validation_failed' || isUnknown;
}

function undeliveredYet({ callbackUrl }: JobRecord): CallbackState {
  return { state: callbackUrl === null ? 'none' : 'pending', attempts: 0, last_error: null };
}
