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
  tensorpix_id?: number | null;
  preview?: boolean;
  progress?: number | null;
  eta_seconds?: number | null;
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
  return {
    id: job.id,
    object: eventPrefix(job.kind),
    status: job.status,
    status_reason: job.statusReason,
    ...(job.kind === 'video' && {
      tensorpix_id: job.tensorpixId,
      preview: job.preview,
      progress: job.progress,
      eta_seconds: job.etaSeconds,
    }),
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

export function jobView(job: JobRecord, callback: CallbackState): JobView {
  return { ...jobSnapshot(job), input: job.input, callback: { url: job.callbackUrl, ...callback } };
}

/** Where a job is read. */
export function jobPath(job: Pick<JobRecord, 'kind' | 'id'>): string {
  return job.kind === 'video' ? `/v1/jobs/${job.id}` : `/v1/images/${job.id}`;
}

function time(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
