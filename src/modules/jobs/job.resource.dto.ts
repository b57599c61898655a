import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import type { CallbackState, JobWarning } from './job-record.js';
import { JOB_STATUSES, STATUS_REASONS, type JobStatus, type StatusReason } from './job-state.js';

const STRING_MAP = {
  type: 'object',
  additionalProperties: { type: 'string' },
  example: { team: 'restoration' },
} as unknown as ApiPropertyOptions;
const FIELD_ERRORS = {
  type: 'object',
  required: false,
  additionalProperties: { type: 'array', items: { type: 'string' } },
} as unknown as ApiPropertyOptions;
const ANY_OBJECT = { type: 'object', additionalProperties: true } as unknown as ApiPropertyOptions;

/** Why a job failed. */
export class JobErrorResource {
  @ApiProperty({ example: 'upstream_failed' }) code!: string;
  @ApiProperty({ example: 'TensorPix reports that the job failed; it gives no reason.' }) detail!: string;
  @ApiProperty(FIELD_ERRORS) errors?: Record<string, string[]>;
  @ApiProperty({ required: false, type: [String] }) non_field_errors?: string[];
}

/** What a create was accepted with, but should be known (contract, section 4). */
export class WarningResource {
  @ApiProperty({ enum: ['presigned_url_expires_soon'] }) code!: JobWarning['code'];
  @ApiProperty() detail!: string;
}

/** How far the webhooks of a job's `callback_url` got (contract, section 4). */
export class CallbackStateResource {
  @ApiProperty({ type: String, nullable: true, example: 'https://hooks.example.com/tensorpix' }) url!: string | null;
  @ApiProperty({ enum: ['none', 'pending', 'delivered', 'failing', 'exhausted'] }) state!: CallbackState['state'];
  @ApiProperty({ type: 'integer', example: 1, description: 'Scheduled attempts of the webhook that `state` is of.' })
  attempts!: number;
  @ApiProperty({ type: String, nullable: true }) last_error!: string | null;
}

/** The result of a video (contract, section 4). */
export class VideoOutputResource {
  @ApiProperty({ type: String, nullable: true, description: 'Expires.' }) url!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) expires_at!: string | null;
  @ApiProperty({ type: 'integer', nullable: true }) tensorpix_video_id!: number | null;
  @ApiProperty({ type: 'integer', nullable: true }) width!: number | null;
  @ApiProperty({ type: 'integer', nullable: true }) height!: number | null;
  @ApiProperty({ type: 'integer', nullable: true, description: 'bytes' }) size!: number | null;
  @ApiProperty({ type: String, nullable: true }) thumbnail_url!: string | null;
}

/** The result of an image (contract, section 5). */
export class ImageOutputResource {
  @ApiProperty({ description: 'Expires.' }) enhanced_url!: string;
  @ApiProperty() enhanced_img_id!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) expires_at!: string | null;
}

/** What jobs and images have in common, as webhooks carry it. */
export class SnapshotResource {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ enum: JOB_STATUSES, example: 'processing' }) status!: JobStatus;
  @ApiProperty({ type: String, enum: STATUS_REASONS, nullable: true }) status_reason!: StatusReason | null;
  @ApiProperty({ type: String, nullable: true, description: 'Credits, four decimals.', example: '1.2500' })
  cost_credits!: string | null;
  @ApiProperty({ type: JobErrorResource, nullable: true }) error!: JobErrorResource | null;
  @ApiProperty({ type: [WarningResource] }) warnings!: WarningResource[];
  @ApiProperty({ type: String, nullable: true, example: 'order-4711' }) external_id!: string | null;
  @ApiProperty(STRING_MAP) metadata!: Record<string, string>;
  @ApiProperty({ description: 'Number of the newest event; a webhook that does not raise it is stale.', example: 3 })
  sequence!: number;
  @ApiProperty({ format: 'date-time' }) created_at!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) submitted_at!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) started_at!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) finished_at!: string | null;
  @ApiProperty({ format: 'date-time' }) updated_at!: string;
}

/** A job as its webhooks carry it: without `input` and `callback`. */
export class JobSnapshotResource extends SnapshotResource {
  @ApiProperty({ enum: ['job'] }) object!: 'job';
  @ApiProperty({ type: 'integer', nullable: true, example: 123 }) tensorpix_id!: number | null;
  @ApiProperty() preview!: boolean;
  @ApiProperty({ type: Number, nullable: true, minimum: 0, maximum: 1, example: 0.42 }) progress!: number | null;
  @ApiProperty({ type: Number, nullable: true, example: 118 }) eta_seconds!: number | null;
  @ApiProperty({ type: VideoOutputResource, nullable: true }) output!: VideoOutputResource | null;
}

/** A job (contract, section 4). */
export class JobResource extends JobSnapshotResource {
  @ApiProperty({
    ...ANY_OBJECT,
    description: "TensorPix's fields of the request.",
    example: { video_url: 'https://media.example.com/in.mp4', ml_models: [34] },
  })
  input!: Record<string, unknown>;
  @ApiProperty() callback!: CallbackStateResource;
}

/** A page of jobs, newest first (contract, section 4). */
export class JobPage {
  @ApiProperty({ type: [JobResource] }) data!: JobResource[];
  @ApiProperty({ type: String, nullable: true }) next_cursor!: string | null;
}
