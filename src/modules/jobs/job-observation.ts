import { presignedExpiry } from '../../common/outbound/presigned-url.js';
import type { UpstreamJob, UpstreamVideo } from '../tensorpix/answers.js';
import { changeJob, type JobChange } from './job-change.js';
import type { JobRecord, VideoOutput } from './job-record.js';
import { canMove, isTerminal } from './job-state.js';

/** What an observation of TensorPix means for a row. `ignored` says why it changes nothing. */
export type Observed = { change: JobChange } | { ignored: 'unchanged' | 'ended' | 'backward' | 'unknown_status' };

/** Progress becomes an event when it has moved by this much (invariant 15). */
export const PROGRESS_STEP = 0.05;
/** 0.15 - 0.1 is less than 0.05 in floating point. */
const FLOAT_SLACK = 1e-9;
/** How long a finished job may wait for the URL of its result (contract, section 4). */
const RESULT_PATIENCE_MS = 300_000;
/** A job counts as lost after this many looks that found nothing, over at least this time. */
const LOST_AFTER_LOOKS = 5;
const LOST_AFTER_MS = 600_000;

/** Seen again: whatever was noted about its absence is over. */
const SEEN = { missingSince: null, missingLooks: 0 } as const;

/** Pure: the row, what TensorPix shows, and the time of looking decide. */
export function observe(job: JobRecord, seen: UpstreamJob, now: Date): Observed {
  if (isTerminal(job.status)) return { ignored: 'ended' };
  switch (seen.status) {
    case null:
      return seenAtAll(job, now, 'unknown_status');
    case 'queued':
    case 'processing':
      return observeRunning(job, seen, seen.status, now);
    case 'finished':
      return observeFinished(job, seen, now);
    case 'failed': {
      const error = { code: 'upstream_failed', detail: 'TensorPix reports that the job failed; it gives no reason.' };
      return {
        change: changeJob(job, { ...SEEN, ...cost(seen), status: 'failed', error }, now, {
          data: { code: error.code },
        }),
      };
    }
    case 'canceled':
      return { change: changeJob(job, { ...SEEN, ...cost(seen), status: 'canceled' }, now) };
  }
}

function observeRunning(job: JobRecord, seen: UpstreamJob, status: 'queued' | 'processing', now: Date): Observed {
  // TensorPix has said "finished" before: it does not step back, and the five minutes go on.
  if (job.resultAwaitedSince !== null)
    return isResultOverdue(job, now) ? finish(job, seen, now) : seenAtAll(job, now, 'backward');
  const moves = status !== job.status;
  if (moves && !canMove(job.status, status)) return seenAtAll(job, now, 'backward');
  const progress = seen.progress === null ? job.progress : Math.max(seen.progress, job.progress ?? 0);
  const reports = !moves && progress !== null && progress - job.reportedProgress >= PROGRESS_STEP - FLOAT_SLACK;
  const patch = {
    ...SEEN,
    ...cost(seen),
    status,
    progress,
    etaSeconds: seen.etaSeconds,
    ...(moves && status === 'processing' && { startedAt: now }),
    ...((moves || reports) && { reportedProgress: progress ?? 0 }),
  };
  if (!moves && !reports && isUnchanged(job, patch)) return { ignored: 'unchanged' };
  const steps = reports ? [{ name: 'progress', data: { progress, eta_seconds: seen.etaSeconds } }] : [];
  return { change: changeJob(job, patch, now, { steps }) };
}

/** It says nothing that could be taken over, except that the job is there. */
function seenAtAll(job: JobRecord, now: Date, ignored: 'unchanged' | 'backward' | 'unknown_status'): Observed {
  return job.missingSince === null ? { ignored } : { change: changeJob(job, SEEN, now) };
}

/** Finished once the result's URL is there, or after five minutes without it. */
function observeFinished(job: JobRecord, seen: UpstreamJob, now: Date): Observed {
  if (seen.output || isResultOverdue(job, now)) return finish(job, seen, now);
  if (job.resultAwaitedSince) return seenAtAll(job, now, 'unchanged');
  const patch = { ...SEEN, ...cost(seen), resultAwaitedSince: now };
  return { change: changeJob(job, patch, now, { steps: [{ name: 'result_awaited' }] }) };
}

function isResultOverdue({ resultAwaitedSince }: JobRecord, now: Date): boolean {
  return resultAwaitedSince !== null && now.getTime() - resultAwaitedSince.getTime() >= RESULT_PATIENCE_MS;
}

function finish(job: JobRecord, seen: Pick<UpstreamJob, 'costCredits' | 'output'>, now: Date): Observed {
  const startedAt = job.startedAt ?? now;
  const patch = {
    ...SEEN,
    ...cost(seen),
    status: 'finished',
    progress: 1,
    startedAt,
    resultAwaitedSince: null,
  } as const;
  return { change: changeJob(job, { ...patch, output: videoOutput(seen.output) }, now) };
}

/** TensorPix knows the job neither among its jobs nor in its history: lost after several looks over ten minutes. */
export function observeMissing(job: JobRecord, now: Date): Observed {
  if (isTerminal(job.status)) return { ignored: 'ended' };
  if (isResultOverdue(job, now)) return finish(job, { costCredits: null, output: null }, now);
  const missingSince = job.missingSince ?? now;
  const missingLooks = job.missingLooks + 1;
  const lost =
    job.resultAwaitedSince === null &&
    missingLooks >= LOST_AFTER_LOOKS &&
    now.getTime() - missingSince.getTime() >= LOST_AFTER_MS;
  if (!lost) {
    const steps = job.missingSince === null ? [{ name: 'missing_at_tensorpix' }] : [];
    return { change: changeJob(job, { missingSince, missingLooks }, now, { steps }) };
  }
  const error = { code: 'upstream_lost', detail: 'TensorPix does not know this job any more.' };
  return { change: changeJob(job, { status: 'failed', error }, now, { data: { code: error.code } }) };
}

function isUnchanged(job: JobRecord, patch: Partial<JobRecord>): boolean {
  return Object.entries(patch).every(([key, value]) => job[key as keyof JobRecord] === value);
}

/** TensorPix sometimes shows no cost; what it once said stays. */
function cost({ costCredits }: Pick<UpstreamJob, 'costCredits'>): Partial<JobRecord> {
  return costCredits === null ? {} : { costCredits };
}

function videoOutput(video: UpstreamVideo | null): VideoOutput {
  return {
    url: video?.url ?? null,
    expires_at: video ? (presignedExpiry(new URL(video.url))?.toISOString() ?? null) : null,
    tensorpix_video_id: video?.id ?? null,
    width: video?.width ?? null,
    height: video?.height ?? null,
    size: video?.sizeBytes ?? null,
    thumbnail_url: video?.thumbnailUrl ?? null,
  };
}
