import { presignedExpiry } from '../../common/outbound/presigned-url.js';
import type { EnhancedImage } from '../tensorpix/answers.js';
import { changeJob, withKey, type JobChange } from './job-change.js';
import { isFree, type ImageOutput, type JobRecord } from './job-record.js';
import { isTerminal, type StatusReason } from './job-state.js';
import type { Decision } from './submission-outcome.js';

const UNLEASED = { leaseToken: null, leaseExpiresAt: null, dueAt: null, statusReason: null } as const;

/**
 * The change that a decision makes of a row. A refusal that the caller gets as its answer fires no webhook; everything
 * else does, an unknown outcome included, because that is no refusal.
 */
export function settle(job: JobRecord, decision: Decision, now: Date, answered: boolean): JobChange {
  switch (decision.kind) {
    case 'bind': {
      const { id, status, costCredits } = decision.created;
      // Whatever TensorPix says beyond "processing", the next look says with its details.
      const reached = status === 'processing' && job.cancelRequestedAt === null ? 'processing' : 'queued';
      const started = reached === 'processing' ? { startedAt: now } : {};
      return changeJob(
        job,
        // Spread last: fields that are added to what was spread take fifty times as long.
        { status: reached, tensorpixId: id, costCredits, submittedAt: now, ...started, ...UNLEASED },
        now,
        { data: { tensorpix_id: id } },
      );
    }
    case 'finish': {
      const output = imageOutput(decision.image);
      return changeJob(job, { ...UNLEASED, status: 'finished', output, submittedAt: now, startedAt: now }, now, {
        data: { enhanced_img_id: output.enhanced_img_id },
      });
    }
    case 'park': {
      const dueAt = new Date(now.getTime() + decision.retryInMs);
      const data = { reason: decision.reason, due_at: dueAt.toISOString() };
      if (job.cancelRequestedAt !== null) return changeJob(job, { ...UNLEASED, status: 'canceled' }, now);
      return changeJob(job, { ...UNLEASED, statusReason: decision.reason, dueAt }, now, {
        steps: [{ name: 'parked', data }],
      });
    }
    case 'unconfirm': {
      const { statusReason, cause } = decision;
      return changeJob(job, { ...UNLEASED, ...becameUnknown(job, now, statusReason) }, now, {
        data: { reason: cause },
      });
    }
    case 'fail': {
      const { error } = decision;
      return changeJob(job, { ...UNLEASED, status: 'failed', error }, now, {
        data: { code: error.code },
        notify: !answered || error.code === 'outcome_unknown',
      });
    }
  }
}

/**
 * The change of a row whose claim is gone. Only facts count then: what TensorPix made is bound when the row has nothing
 * yet, and recorded as a duplicate when it has. Null for a decision, which whoever holds the row now takes.
 *
 * @param moved the row is sent with another account than that of the call by now: there the id means nothing, or another job
 */
export function settleLate(job: JobRecord, decision: Decision, now: Date, moved = false): JobChange | null {
  if (decision.kind === 'finish') {
    if (!isTerminal(job.status)) return settle(job, decision, now, false);
    const output = imageOutput(decision.image);
    const data = { enhanced_img_id: output.enhanced_img_id };
    if (!job.output) return changeJob(job, { output }, now, { steps: [{ name: 'bound_late', data }] });
    if ('enhanced_img_id' in job.output && job.output.enhanced_img_id === output.enhanced_img_id) return null;
    return changeJob(job, {}, now, { steps: [{ name: 'upstream_duplicate', data }] });
  }
  if (decision.kind !== 'bind') return null;
  const { id, costCredits } = decision.created;
  if (moved) {
    const data = { tensorpix_id: id, reason: 'account_changed' };
    return changeJob(job, {}, now, { steps: [{ name: 'upstream_duplicate', data }] });
  }
  // Known already: the statement that wrote it lost its connection, or somebody has looked it up meanwhile.
  if (job.tensorpixId === id) return null;
  const data = { tensorpix_id: id };
  if (job.tensorpixId !== null) return changeJob(job, {}, now, { steps: [{ name: 'upstream_duplicate', data }] });
  if (!isTerminal(job.status)) return settle(job, decision, now, false);
  return changeJob(job, { tensorpixId: id, costCredits }, now, { steps: [{ name: 'bound_late', data }] });
}

/** The change of a row whose sender died: its call may have been made. */
export function settleExpired(job: JobRecord, now: Date): JobChange {
  const data = { reason: 'sender_lost' };
  if (job.kind === 'video') return changeJob(job, { ...UNLEASED, ...becameUnknown(job, now, null) }, now, { data });
  // Strict or not: nobody waits for this answer any more, and repeating it costs nothing.
  if (isFree(job)) return changeJob(job, { ...UNLEASED, dueAt: now }, now, { steps: [{ name: 'parked', data }] });
  const error = {
    code: 'outcome_unknown',
    detail: 'The gateway stopped during the call; whether TensorPix made and charged this image cannot be looked up.',
  };
  return changeJob(job, { ...UNLEASED, status: 'failed', error }, now, { data: { code: error.code } });
}

/** Looks count from here on: the call has ended. A row without a key to look for is left to a person. */
function becameUnknown({ observableKey }: JobRecord, now: Date, reason: StatusReason | null) {
  const statusReason = observableKey === null ? 'outcome_unknown' : reason;
  const nothingSeen = { cleanLooks: 0, cleanLookAt: null, doubtedSince: null };
  return { status: 'unconfirmed', unknownSince: now, ...nothingSeen, statusReason } as const;
}

/**
 * The change of a row that was claimed and certainly not sent: it waits, and is sent when it is due, unless somebody has asked
 * for a cancel meanwhile, who was told that it would come.
 */
export function unsent(job: JobRecord, now: Date, dueAt: Date = now): JobChange {
  const steps = [{ name: 'claim_released' }];
  const released = { ...UNLEASED, attempt: job.attempt - 1 };
  if (job.cancelRequestedAt !== null) return changeJob(job, { ...released, status: 'canceled' }, now, { steps });
  return changeJob(job, { ...released, dueAt }, now, { steps });
}

/** As `unsent`, for a caller that wants nothing parked: it is told that nothing was sent. */
export function unsentStrict(job: JobRecord, now: Date, answered: boolean): JobChange {
  const error = { code: 'upstream_unreachable', detail: 'The gateway was too slow to send the job in time.' };
  return changeJob(job, { ...UNLEASED, status: 'failed', error }, now, {
    steps: [{ name: 'claim_released' }],
    data: { code: error.code },
    notify: !answered,
  });
}

/**
 * As `unsent`, of a row that its create has claimed and not heard of: its caller was told so, and asks again by its key. Under strict
 * handling nothing of it is left but the row.
 */
export function unsentUnheard(job: JobRecord, now: Date): JobChange {
  return job.strict
    ? withKey(unsentStrict(job, now, false), { kind: 'free' })
    : withKey(unsent(job, now), { kind: 'open' });
}

/** The change of a row whose presigned source has expired before it was sent. */
export function expireSource(job: JobRecord, now: Date): JobChange {
  const error = {
    code: 'source_expired',
    detail: 'The presigned URL of the source expired while the job was waiting.',
  };
  return changeJob(job, { ...UNLEASED, status: 'failed', error }, now, { data: { code: error.code } });
}

function imageOutput({ id, url }: EnhancedImage): ImageOutput {
  return { enhanced_url: url, enhanced_img_id: id, expires_at: presignedExpiry(new URL(url))?.toISOString() ?? null };
}
