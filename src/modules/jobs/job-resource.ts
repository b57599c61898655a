import {
  eventPrefix,
  type CallbackState,
  type ImageOutput,
  type JobError,
  type JobRecord,
  type JobWarning,
  type VideoOutput,
} from './job-record.js';
import type { JobStatus, StatusReason } from './job-state.js';

export interface CallbackResource extends CallbackState {
  url: string | null;
}

/** What a webhook carries of a job: everything but `input` and `callback` (contract, section 7). */
export interface JobSnapshot {
  id: string;
  object: 'job' | 'image';
  status: JobStatus;
  status_reason: StatusReason | null;
  /** undefined, and so not in the JSON, for images, as the three below */
  tensorpix_id: number | null | undefined;
  preview: boolean | undefined;
  progress: number | null | undefined;
  eta_seconds: number | null | undefined;
  cost_credits: string | null;
  output: VideoOutput | ImageOutput | null;
  error: JobError | null;
  warnings: JobWarning[];
  external_id: string | null;
  metadata: Record<string, string>;
  sequence: number;
  created_at: string;
  submitted_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  updated_at: string;
}

export interface JobView extends JobSnapshot {
  input: Record<string, unknown>;
  callback: CallbackResource;
}

/** The resource as of a record, field by field, so that a new column never leaks (contract, sections 4 and 5). */
export function jobSnapshot(job: JobRecord): JobSnapshot {
  const isVideo = job.kind === 'video';
  return {
    id: job.id,
    object: eventPrefix(job.kind),
    status: job.status,
    status_reason: job.statusReason,
    tensorpix_id: isVideo ? job.tensorpixId : undefined,
    preview: isVideo ? job.preview : undefined,
    progress: isVideo ? job.progress : undefined,
    eta_seconds: isVideo ? job.etaSeconds : undefined,
    cost_credits: job.costCredits,
    output: job.output,
    error: job.error,
    warnings: job.warnings,
    external_id: job.externalId,
    metadata: job.metadata,
    sequence: job.sequence,
    created_at: job.createdAt.toISOString(),
    submitted_at: time(job.submittedAt),
    started_at: time(job.startedAt),
    finished_at: time(job.finishedAt),
    updated_at: job.updatedAt.toISOString(),
  };
}

/** A job as its routes show it (contract, section 4). */
export function jobView(job: JobRecord, callback: CallbackState): JobView {
  // Not a spread with two more fields, which takes five times as long as all else here.
  return Object.assign(jobSnapshot(job), { input: job.input, callback: { url: job.callbackUrl, ...callback } });
}

/** Where a job is read. */
export function jobPath(job: Pick<JobRecord, 'kind' | 'id'>): string {
  return job.kind === 'video' ? `/v1/jobs/${job.id}` : `/v1/images/${job.id}`;
}

function time(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
