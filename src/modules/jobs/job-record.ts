import type { FieldErrors } from '../../common/errors/problem.js';
import type { JobStatus, StatusReason } from './job-state.js';

/** `video` is a TensorPix job; `image` is answered at once and has no id there that could be looked up. */
export type JobKind = 'video' | 'image';

/** Why a job failed. `code` is stable; the texts are TensorPix's own where it gave any. */
export interface JobError {
  code: string;
  detail: string;
  errors?: FieldErrors;
  non_field_errors?: string[];
}

export interface JobWarning {
  code: 'presigned_url_expires_soon';
  detail: string;
}

/** Result of a video (contract, section 4). */
export interface VideoOutput {
  url: string | null;
  expires_at: string | null;
  tensorpix_video_id: number | null;
  width: number | null;
  height: number | null;
  /** bytes */
  size: number | null;
  thumbnail_url: string | null;
}

/** Result of an image (contract, section 5). */
export interface ImageOutput {
  enhanced_url: string;
  enhanced_img_id: string;
  expires_at: string | null;
}

/** How far the callbacks of a job got. */
export interface CallbackState {
  state: 'none' | 'pending' | 'delivered' | 'failing' | 'exhausted';
  attempts: number;
  last_error: string | null;
}

/** A row of `jobs` as the module works with it. Times are the database's. */
export interface JobRecord {
  id: string;
  tenantId: string;
  accountId: string;
  apiKeyId: string | null;
  kind: JobKind;
  status: JobStatus;
  statusReason: StatusReason | null;
  tensorpixId: number | null;
  preview: boolean;
  progress: number | null;
  etaSeconds: number | null;
  /** Credits with four decimals */
  costCredits: string | null;
  input: Record<string, unknown>;
  output: VideoOutput | ImageOutput | null;
  error: JobError | null;
  warnings: JobWarning[];
  externalId: string | null;
  metadata: Record<string, string>;
  callbackUrl: string | null;
  callbackEvents: string[];
  sequence: number;
  reportedProgress: number;
  parks: boolean;
  strict: boolean;
  attempt: number;
  /** what TensorPix's list shows of the request, hashed, in hex; null for images */
  observableKey: string | null;
  /** when the newest call was claimed */
  calledAt: Date | null;
  /** when its outcome was found to be unknown */
  unknownSince: Date | null;
  cleanLooks: number;
  cleanLookAt: Date | null;
  doubtedSince: Date | null;
  dueAt: Date | null;
  leaseToken: string | null;
  leaseExpiresAt: Date | null;
  sourceExpiresAt: Date | null;
  cancelRequestedAt: Date | null;
  resultAwaitedSince: Date | null;
  missingSince: Date | null;
  missingLooks: number;
  createdAt: Date;
  submittedAt: Date | null;
  startedAt: Date | null;
  finishedAt: Date | null;
  updatedAt: Date;
}

/** `job.…` or `image.…`: the first part of an event's type. */
export function eventPrefix(kind: JobKind): 'job' | 'image' {
  return kind === 'video' ? 'job' : 'image';
}

/** An image with a watermark costs nothing, so that repeating it costs nothing either. */
export function isFree(job: Pick<JobRecord, 'kind' | 'input'>): boolean {
  return job.kind === 'image' && job.input.watermark === true;
}
