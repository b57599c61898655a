import { backoffMs } from '../../common/loops/backoff.js';
import type { CreatedJob, EnhancedImage } from '../tensorpix/answers.js';
import type { CallOutcome, Refusal, RefusalReason, UnknownReason } from '../tensorpix/call-outcome.js';
import { isFree, type JobError, type JobRecord } from './job-record.js';
import type { StatusReason } from './job-state.js';

/**
 * What a pause is about: this job; the token, which nothing is sent with meanwhile; or the account, which refuses jobs, so
 * that none is sent in the background, while a caller who waits gets the refusal itself.
 */
export type ParkScope = 'job' | 'token' | 'account';

/** What follows for a row from the call that was made for it. */
export type Decision =
  | { kind: 'bind'; created: CreatedJob }
  | { kind: 'finish'; image: EnhancedImage }
  /** Nothing was done at TensorPix: the row waits and is sent again. */
  | { kind: 'park'; reason: StatusReason; retryInMs: number; scope: ParkScope }
  /** TensorPix may have acted: the row is not sent again before somebody has looked. */
  | { kind: 'unconfirm'; statusReason: StatusReason; cause: string; timedOut: boolean }
  | { kind: 'fail'; error: JobError };

export type SubmissionResult = CreatedJob | EnhancedImage;

const PARK_BASE_MS = 2_000;
const MIN_PAUSE_MS = 1_000;
const PARK_CAP_MS = 300_000;
/** The account's states change when a person acts, so that asking often is useless. */
const ACCOUNT_BASE_MS = 30_000;
const ACCOUNT_CAP_MS = 900_000;

/** Refusals that speak of the account, not of the request, with what the row then waits for. */
const ACCOUNT_REASONS: Partial<Record<RefusalReason, StatusReason>> = {
  insufficient_credits: 'insufficient_credits',
  storage_full: 'storage_full',
  token_rejected: 'token_rejected',
};

/** Error codes of the refusals that end a job. */
const FAILURE_CODES: Partial<Record<RefusalReason, string>> = {
  invalid: 'validation_failed',
  insufficient_credits: 'insufficient_credits',
  storage_full: 'storage_full',
  token_rejected: 'upstream_token_rejected',
  forbidden: 'upstream_forbidden',
  rate_limited: 'rate_limited',
};

/** Before TensorPix's own words, where a client would take them for the gateway's, of its own key. */
const WHOSE_WORDS: Partial<Record<RefusalReason, string>> = {
  token_rejected: "TensorPix rejects the tenant's token: ",
  forbidden: "TensorPix forbids it to the tenant's token: ",
};

/**
 * Decides what a call means (contract, section 4). The outcome classes decide about money: only what certainly was not
 * done is repeated, and a free image, whose repetition costs nothing.
 *
 * @param strict the caller wants TensorPix's throttling and outages as errors and nothing repeated
 */
export function decide(
  job: JobRecord,
  outcome: CallOutcome<SubmissionResult>,
  strict: boolean,
  random?: () => number,
): Decision {
  switch (outcome.kind) {
    case 'ok':
      return 'url' in outcome.value
        ? { kind: 'finish', image: outcome.value }
        : { kind: 'bind', created: outcome.value };
    case 'not_sent':
      if (strict) return fail('upstream_unreachable', 'TensorPix could not be reached.');
      return park('upstream_unavailable', retryMs(job, outcome.retryAfterMs ?? null, random));
    case 'refused':
      return decideRefusal(job, outcome.refusal, strict, random);
    case 'unknown':
      if (job.kind === 'video') return unconfirm(outcome.reason);
      if (!isFree(job))
        return fail(
          'outcome_unknown',
          'TensorPix did not answer; whether it made and charged this image cannot be looked up.',
        );
      if (strict)
        return fail(
          outcome.reason === 'timeout' ? 'upstream_timeout' : 'upstream_error',
          'TensorPix gave no usable answer.',
        );
      return park('upstream_unavailable', retryMs(job, outcome.retryAfterMs, random));
  }
}

function decideRefusal(job: JobRecord, refusal: Refusal, strict: boolean, random?: () => number): Decision {
  if (refusal.reason === 'rate_limited' && !strict) {
    const retryInMs = retryMs(job, refusal.retryAfterMs, random);
    return { kind: 'park', reason: 'rate_limited', retryInMs, scope: 'token' };
  }
  const accountReason = ACCOUNT_REASONS[refusal.reason];
  if (accountReason && job.parks)
    return {
      kind: 'park',
      reason: accountReason,
      retryInMs: backoffMs(job.attempt - 1, ACCOUNT_BASE_MS, ACCOUNT_CAP_MS, random),
      scope: 'account',
    };
  const code = FAILURE_CODES[refusal.reason] ?? 'upstream_error';
  const fields = refusal.status === 400 && { errors: refusal.errors, non_field_errors: refusal.nonFieldErrors };
  const detail = (WHOSE_WORDS[refusal.reason] ?? '') + refusal.detail;
  return { kind: 'fail', error: { code, detail, ...fields } };
}

/** What TensorPix asked for, if that is a pause at all; else a growing one of our own. Milliseconds. */
function retryMs(job: JobRecord, askedMs: number | null, random?: () => number): number {
  if (askedMs !== null && askedMs >= MIN_PAUSE_MS) return askedMs;
  return backoffMs(job.attempt - 1, PARK_BASE_MS, PARK_CAP_MS, random);
}

function park(reason: StatusReason, retryInMs: number): Decision {
  return { kind: 'park', reason, retryInMs, scope: 'job' };
}

function unconfirm(cause: UnknownReason): Decision {
  return { kind: 'unconfirm', statusReason: 'upstream_unavailable', cause, timedOut: cause === 'timeout' };
}

function fail(code: string, detail: string): Decision {
  return { kind: 'fail', error: { code, detail } };
}
