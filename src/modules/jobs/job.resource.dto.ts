import { ApiProperty } from '@nestjs/swagger';
import { NextCursor } from '../../common/http/page.dto.js';
import type { CallbackState, JobWarning } from './job-record.js';
import { JOB_STATUSES, STATUS_REASONS, type JobStatus, type StatusReason } from './job-state.js';

const EXPIRES_AT = {
  type: String,
  format: 'date-time',
  nullable: true,
  description: 'When the URL stops working, as far as it says so itself.',
} as const;

/** Why a job failed. */
export class JobErrorResource {
  @ApiProperty({ description: 'Stable: to decide by.', example: 'upstream_failed' }) code!: string;
  @ApiProperty({
    description: "For people; TensorPix's own words where it gave any.",
    example: 'TensorPix reports that the job failed; it gives no reason.',
  })
  detail!: string;
  @ApiProperty({
    description: "TensorPix's messages by field.",
    selfRequired: false,
    type: 'object',
    additionalProperties: { type: 'array', items: { type: 'string' } },
  })
  errors?: Record<string, string[]>;

  @ApiProperty({ description: "TensorPix's messages about the request as a whole.", required: false, type: [String] })
  non_field_errors?: string[];
}

/** What a create was accepted with, but should be known (contract, section 4). */
export class WarningResource {
  @ApiProperty({ description: 'Stable: to decide by.', enum: ['presigned_url_expires_soon'] })
  code!: JobWarning['code'];
  @ApiProperty({ description: 'For people.' }) detail!: string;
}

/** How far the webhooks of a job's `callback_url` got (contract, section 4). */
export class CallbackStateResource {
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The `callback_url`.',
    example: 'https://hooks.example.com/tensorpix',
  })
  url!: string | null;
  @ApiProperty({
    description:
      'Of the oldest webhook that did not get through, or of the newest when all did; `none`: there is nothing to deliver.',
    enum: ['none', 'pending', 'delivered', 'failing', 'exhausted'],
  })
  state!: CallbackState['state'];
  @ApiProperty({ type: 'integer', example: 1, description: 'Scheduled attempts of the webhook that `state` is of.' })
  attempts!: number;
  @ApiProperty({ type: String, nullable: true, description: 'Why its last attempt failed.' }) last_error!:
    string | null;
}

/** The result of a video (contract, section 4). */
export class VideoOutputResource {
  @ApiProperty({ type: String, nullable: true, description: 'Expires. null: TensorPix gave none within five minutes.' })
  url!: string | null;
  @ApiProperty(EXPIRES_AT) expires_at!: string | null;
  @ApiProperty({ type: 'integer', nullable: true, description: "TensorPix's id of the enhanced video." })
  tensorpix_video_id!: number | null;
  @ApiProperty({ type: 'integer', nullable: true, description: 'pixels' }) width!: number | null;
  @ApiProperty({ type: 'integer', nullable: true, description: 'pixels' }) height!: number | null;
  @ApiProperty({ type: 'integer', nullable: true, description: 'bytes' }) size!: number | null;
  @ApiProperty({ type: String, nullable: true, description: 'Expires, too.' }) thumbnail_url!: string | null;
}

/** The result of an image (contract, section 5). */
export class ImageOutputResource {
  @ApiProperty({ description: 'Expires.' }) enhanced_url!: string;
  @ApiProperty({ description: "TensorPix's id of the enhanced image." }) enhanced_img_id!: string;
  @ApiProperty(EXPIRES_AT) expires_at!: string | null;
}

/** What jobs and images have in common, as webhooks carry it. */
export class SnapshotResource {
  @ApiProperty({ format: 'uuid', description: "The gateway's own." }) id!: string;
  @ApiProperty({
    description:
      "`submitting`: TensorPix has not got it yet. `unconfirmed`: whether TensorPix has it is being found out. The others are TensorPix's own; the last three are final.",
    enum: JOB_STATUSES,
    example: 'processing',
  })
  status!: JobStatus;
  @ApiProperty({
    description:
      'Why it is still `submitting` or `unconfirmed`; `unconfirmed` with `outcome_unknown` waits for a person.',
    type: String,
    enum: STATUS_REASONS,
    nullable: true,
  })
  status_reason!: StatusReason | null;
  @ApiProperty({ type: String, nullable: true, description: 'Credits, four decimals.', example: '1.2500' })
  cost_credits!: string | null;
  @ApiProperty({ type: JobErrorResource, nullable: true, description: 'Set when `failed`.' })
  error!: JobErrorResource | null;
  @ApiProperty({ type: [WarningResource], description: 'It was accepted all the same.' }) warnings!: WarningResource[];
  @ApiProperty({ type: String, nullable: true, description: 'As it was given.', example: 'order-4711' }) external_id!:
    string | null;
  @ApiProperty({
    description: 'As it was given.',
    type: 'object',
    additionalProperties: { type: 'string' },
    example: { team: 'restoration' },
  })
  metadata!: Record<string, string>;

  @ApiProperty({ description: 'Number of the newest event; a webhook that does not raise it is stale.', example: 3 })
  sequence!: number;
  @ApiProperty({ format: 'date-time', description: 'When the gateway recorded it.' }) created_at!: string;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'When the gateway knew that TensorPix has it.',
  })
  submitted_at!: string | null;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'When the gateway saw that TensorPix works on it.',
  })
  started_at!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'When it ended, in whatever way.' })
  finished_at!: string | null;
  @ApiProperty({ format: 'date-time', description: 'The last change, progress included.' }) updated_at!: string;
}

/** A job as its webhooks carry it: without `input` and `callback`. */
export class JobSnapshotResource extends SnapshotResource {
  @ApiProperty({ enum: ['job'] }) object!: 'job';
  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'null: TensorPix is not known to have it.',
    example: 123,
  })
  tensorpix_id!: number | null;
  @ApiProperty({ description: 'Free, short and watermarked.' }) preview!: boolean;
  @ApiProperty({ type: Number, nullable: true, description: 'Of 1.', minimum: 0, maximum: 1, example: 0.42 })
  progress!: number | null;
  @ApiProperty({ type: Number, nullable: true, description: "TensorPix's estimate of what is left.", example: 118 })
  eta_seconds!: number | null;
  @ApiProperty({ type: VideoOutputResource, nullable: true, description: 'Set when `finished`.' })
  output!: VideoOutputResource | null;
}

/** A job (contract, section 4). */
export class JobResource extends JobSnapshotResource {
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    description: "TensorPix's fields of the request.",
    example: { video_url: 'https://media.example.com/in.mp4', ml_models: [34] },
  })
  input!: Record<string, unknown>;
  @ApiProperty() callback!: CallbackStateResource;
}

/** A page of jobs, newest first (contract, section 4). */
export class JobPage {
  @ApiProperty({ type: [JobResource] }) data!: JobResource[];
  @NextCursor() next_cursor!: string | null;
}
