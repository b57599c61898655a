import { changeJob, type JobChange } from '../job-change.js';
import type { JobRecord } from '../job-record.js';
import { isLeftToPerson, isTerminal } from '../job-state.js';
import type { UnknownCall } from './could-be-ours.js';
import { CLEAN_LOOKS_NEEDED, type Verdict } from './judgement.js';
import { observableOf } from './observable-key.js';

/** So many calls that TensorPix gave no usable answer to, and made nothing of; then a person is asked. */
export const CALLS_IN_VAIN = 5;
/** The second one that is repeated waits so long, each further one twice as long. Milliseconds. */
const RESEND_BASE_MS = 2_000;

/** The call of a row of unknown outcome, as far as judging it needs. */
export function unknownCall(job: JobRecord, equalsUnknownSince: Date | null = null): UnknownCall {
  const unknownSince = job.unknownSince ?? job.updatedAt;
  return {
    id: job.id,
    key: job.observableKey ?? '',
    observable: observableOf(job.input),
    input: job.input,
    calledAt: job.calledAt ?? job.createdAt,
    unknownSince,
    equalsUnknownSince: equalsUnknownSince ?? unknownSince,
    cleanLooks: job.cleanLooks,
    cleanLookAt: job.cleanLookAt,
    doubtedSince: job.doubtedSince,
    leftToPerson: isLeftToPerson(job),
    givenUp: isTerminal(job.status),
  };
}

/**
 * The change that a verdict makes of a row; null when it makes none. Each step can be read in the job's history.
 *
 * @param lookBegunAt not after the look began
 * @param lookEndedAt not before it ended: the next one that counts begins a while after that
 * @param unknownCalls the calls for this row whose outcome was unknown, this one among them
 */
export function verdictChange(
  job: JobRecord,
  verdict: Verdict,
  lookBegunAt: Date,
  now: Date,
  lookEndedAt: Date = now,
  unknownCalls = 1,
): JobChange | null {
  switch (verdict.kind) {
    case 'wait':
      return null;
    case 'adopt': {
      const { job: found, candidates } = verdict;
      const data = { tensorpix_id: found.id, candidates, started: found.startedAt?.toISOString() ?? null };
      return bind(job, found, now, [{ name: 'adopted', data }]);
    }
    case 'doubt':
      if (isLeftToPerson(job)) return null;
      return changeJob(job, { doubtedSince: lookBegunAt }, now, {
        steps: [{ name: 'doubted', data: { reason: verdict.cause } }],
      });
    // A person has been asked: what the looks do not show changes nothing any more.
    case 'clean':
      return isLeftToPerson(job) ? null : notFound(job, lookBegunAt, lookEndedAt, now);
    case 'absent':
      return isLeftToPerson(job) ? null : absent(job, lookBegunAt, lookEndedAt, now, unknownCalls);
    case 'undecidable':
      if (isLeftToPerson(job)) return null;
      return changeJob(job, { statusReason: 'outcome_unknown' }, now, {
        steps: [{ name: 'undecided', data: { reason: verdict.cause } }],
      });
  }
}

/** TensorPix has the job: this is its id. The next look says whatever else there is to say. */
export function bind(
  job: JobRecord,
  found: { id: number; costCredits: string | null },
  now: Date,
  steps: { name: string; data: Record<string, unknown> }[],
): JobChange {
  const patch = {
    status: 'queued',
    statusReason: null,
    tensorpixId: found.id,
    costCredits: found.costCredits,
    submittedAt: now,
  } as const;
  return changeJob(job, patch, now, { steps, data: { tensorpix_id: found.id } });
}

/** TensorPix does not have the job: it is sent again when it is due, unless nobody wants that any more. */
export function resubmit(
  job: JobRecord,
  now: Date,
  steps: { name: string; data: Record<string, unknown> }[],
  dueAt: Date = now,
): JobChange {
  if (job.cancelRequestedAt !== null) return changeJob(job, { status: 'canceled' }, now, { steps });
  const waits = dueAt > now;
  const statusReason = waits ? 'upstream_unavailable' : null;
  const patch = { status: 'submitting', statusReason, dueAt, unknownSince: null } as const;
  return changeJob(job, { ...patch, cleanLooks: 0, cleanLookAt: null, doubtedSince: null }, now, {
    steps,
    data: { attempt: job.attempt, reason: 'not_at_tensorpix', ...(waits && { due_at: dueAt.toISOString() }) },
  });
}

function notFound(job: JobRecord, lookBegunAt: Date, lookEndedAt: Date, now: Date): JobChange {
  const looks = job.cleanLooks + 1;
  const steps = [{ name: 'not_found', data: notFoundData(looks, lookBegunAt) }];
  return changeJob(job, { cleanLooks: looks, cleanLookAt: lookEndedAt, doubtedSince: null }, now, { steps });
}

function absent(job: JobRecord, lookBegunAt: Date, lookEndedAt: Date, now: Date, unknownCalls: number): JobChange {
  const step = { name: 'not_found', data: notFoundData(job.cleanLooks + 1, lookBegunAt) };
  // Under strict handling nothing is sent again: whoever asked decides what follows.
  const reason = job.strict ? 'strict_handling' : unknownCalls >= CALLS_IN_VAIN ? 'sent_in_vain' : null;
  if (reason === null || job.cancelRequestedAt !== null)
    return resubmit(job, now, [step], new Date(now.getTime() + resendPauseMs(unknownCalls)));
  const looks = { cleanLooks: CLEAN_LOOKS_NEEDED, cleanLookAt: lookEndedAt };
  const patch = { statusReason: 'outcome_unknown', ...looks } as const;
  return changeJob(job, patch, now, { steps: [step, { name: 'undecided', data: { reason } }] });
}

/** The looks have taken their time already: only what meets no answer again and again waits for longer. */
function resendPauseMs(unknownCalls: number): number {
  return unknownCalls < 2 ? 0 : RESEND_BASE_MS * 2 ** (unknownCalls - 2);
}

function notFoundData(looks: number, lookBegunAt: Date): Record<string, unknown> {
  return { look: looks, begun_at: lookBegunAt.toISOString() };
}
