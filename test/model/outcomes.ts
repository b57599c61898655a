import type { Decision } from '../../src/modules/jobs/submission-outcome.js';
import type { CreatedJob } from '../../src/modules/tensorpix/answers.js';
import type { CallOutcome } from '../../src/modules/tensorpix/call-outcome.js';

/** What a sender knows of its call. */
export type Outcome = CallOutcome<CreatedJob>;

export const REFUSED: Outcome = {
  kind: 'refused',
  refusal: {
    reason: 'rate_limited',
    status: 429,
    detail: 'Request was throttled.',
    worded: true,
    errors: {},
    nonFieldErrors: [],
    retryAfterMs: 1_000,
  },
};

export const UNKNOWN: Outcome = { kind: 'unknown', reason: 'timeout', status: null, retryAfterMs: null };

/** TensorPix gave an id that another row owns. */
export const ID_OWNED: Decision = {
  kind: 'unconfirm',
  statusReason: 'upstream_unavailable',
  cause: 'id_owned_by_another_job',
  timedOut: false,
};
/** What a gateway does that takes an unknown outcome for a failure. */
export const PARKED: Decision = { kind: 'park', reason: 'upstream_unavailable', retryInMs: 1_000, scope: 'job' };
