import { Problem, type ProblemCode, type ProblemOptions } from '../../common/errors/problem.js';
import type { JobRecord } from './job-record.js';
import { jobPath } from './job-resource.js';

/** The HTTP code of what ended a job while its caller waited (contract, section 2). */
const CODES: Record<string, ProblemCode> = {
  validation_failed: 'validation_failed',
  storage_full: 'storage_full',
  insufficient_credits: 'insufficient_credits',
  upstream_forbidden: 'upstream_forbidden',
  rate_limited: 'rate_limited',
  upstream_token_rejected: 'upstream_token_rejected',
  upstream_timeout: 'upstream_timeout',
  outcome_unknown: 'upstream_timeout',
};

const DEFAULT_RETRY_AFTER_SECONDS = 30;

/** The problem that the caller of a create gets for a job that failed or, under strict handling, stays unconfirmed. */
export function submissionProblem(
  job: JobRecord,
  options: { timedOut?: boolean; retryAfterMs?: number | null } = {},
): Problem {
  const about: ProblemOptions = { job: { id: job.id, path: jobPath(job) } };
  if (job.status === 'unconfirmed') {
    const code = options.timedOut ? 'upstream_timeout' : 'upstream_error';
    return new Problem(code, 'TensorPix gave no usable answer; whether it started the job is not known.', about);
  }
  const { error } = job;
  const code = (error && CODES[error.code]) ?? 'upstream_error';
  return new Problem(code, error?.detail ?? 'TensorPix refused the job.', {
    ...about,
    ...(error?.errors && { errors: error.errors }),
    ...(error?.non_field_errors && { nonFieldErrors: error.non_field_errors }),
    ...(code === 'rate_limited' && {
      retryAfterSeconds: Math.ceil((options.retryAfterMs ?? DEFAULT_RETRY_AFTER_SECONDS * 1000) / 1000),
    }),
  });
}
