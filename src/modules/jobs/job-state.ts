/** States of a job (contract, section 4); the last five are TensorPix's 0, 1, 2, -1, -2. */
export const JOB_STATUSES = [
  'submitting',
  'unconfirmed',
  'queued',
  'processing',
  'finished',
  'failed',
  'canceled',
] as const;

export type JobStatus = (typeof JOB_STATUSES)[number];

/** What refines a state (contract, section 4). */
export const STATUS_REASONS = [
  'rate_limited',
  'upstream_unavailable',
  'token_rejected',
  'insufficient_credits',
  'storage_full',
  'active_job_limit',
  'sending',
  'outcome_unknown',
] as const;

export type StatusReason = (typeof STATUS_REASONS)[number];

/**
 * Where a state may go. A job may skip states, because TensorPix is looked at now and then; it never goes back, but
 * for `unconfirmed`, which may turn out never to have been sent.
 */
const EXITS: Record<JobStatus, readonly JobStatus[]> = {
  submitting: ['unconfirmed', 'queued', 'processing', 'finished', 'failed', 'canceled'],
  unconfirmed: ['submitting', 'queued', 'processing', 'finished', 'failed', 'canceled'],
  queued: ['processing', 'finished', 'failed', 'canceled'],
  processing: ['finished', 'failed', 'canceled'],
  finished: [],
  failed: [],
  canceled: [],
};

/** A move that the table does not have: a fault of the program, never of TensorPix. */
export class IllegalTransitionError extends Error {
  constructor(from: JobStatus, to: JobStatus) {
    super(`a job cannot go from ${from} to ${to}`);
    this.name = 'IllegalTransitionError';
  }
}

/** Whether the table of transitions has this one. */
export function canMove(from: JobStatus, to: JobStatus): boolean {
  return EXITS[from].includes(to);
}

/** @throws IllegalTransitionError */
export function nextState(from: JobStatus, to: JobStatus): JobStatus {
  if (!canMove(from, to)) throw new IllegalTransitionError(from, to);
  return to;
}

/** A call of unknown outcome that no look can settle any more: a person decides (contract, section 4). */
export function isLeftToPerson(job: { status: JobStatus; statusReason: StatusReason | null }): boolean {
  return job.status === 'unconfirmed' && job.statusReason === 'outcome_unknown';
}

/** Whether it has no exits. */
export function isTerminal(status: JobStatus): boolean {
  return EXITS[status].length === 0;
}

/** States in which TensorPix works on the job, so that it has to be looked at. */
export function isAtTensorpix(status: JobStatus): boolean {
  return status === 'queued' || status === 'processing';
}
