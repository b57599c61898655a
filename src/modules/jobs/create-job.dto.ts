import {
  BooleanField,
  EnumField,
  EnumListField,
  IntegerField,
  IntegersField,
  NumberField,
  StringField,
  checkedBy,
} from '../../common/validation/fields.js';
import { DEFAULT_JOB_EVENTS, JOB_WEBHOOK_TYPES, type WebhookType } from '../webhooks/webhook-types.js';
import { OwnFieldsDto } from './job-fields.dto.js';

const CODECS = ['libx264', 'libx265', 'prores_ks'] as const;
const CONTAINERS = ['mov', 'mkv', 'mp4'] as const;
const CHROMA_SUBSAMPLINGS = ['yuv420p', 'yuv422p', 'yuv444p', 'yuv420p10le', 'yuv422p10le', 'yuv444p10le', ''] as const;
const RESOLUTIONS = [-1, 640, 720, 854, 1280, 1920, 2048, 2560, 3840] as const;
const MAX_INT = 2_147_483_647;
const MAX_MODELS = 50;

/** TensorPix's request fields of `EnhanceVideo`: what of a create is sent on. */
export const VIDEO_INPUT_FIELDS = [
  'video_url',
  'ml_models',
  'codec',
  'crf',
  'container',
  'chroma_subsampling',
  'output_resolution',
  'grain',
  'comparison',
  'stabilization_smoothing',
  'target_fps',
  'playback_speed',
  'sharpen_strength',
  'preview',
  'start_frame',
  'end_frame',
] as const;

/** Body of `POST /v1/jobs`: TensorPix's `EnhanceVideo` (API 1.1.0) and the gateway's own fields. */
export class CreateJobDto extends OwnFieldsDto {
  @StringField({
    description: 'URL of the video itself (not of a page that shows it). Presigned URLs should live at least 2 hours.',
    required: true,
    minLength: 1,
    maxLength: 2048,
    format: 'uri',
    example: 'https://sample-videos.com/video321/mp4/720/big_buck_bunny_720p_1mb.mp4',
  })
  video_url!: string;

  @IntegersField({
    description: 'Ids of the AI models, at most one of a task group.',
    required: true,
    minItems: 1,
    maxItems: MAX_MODELS,
    example: [34],
  })
  ml_models!: number[];

  @EnumField(CODECS, { description: 'Codec of the enhanced video.', example: 'libx264' })
  codec?: (typeof CODECS)[number];

  @IntegerField({
    description: 'Constant Rate Factor, the encoding quality: 23 is a good start, 20 or lower is very high quality.',
    min: 0,
    max: 51,
    example: 23,
  })
  crf?: number;

  @EnumField(CONTAINERS, { description: 'Container of the enhanced video.', example: 'mp4' })
  container?: (typeof CONTAINERS)[number];

  @EnumField(CHROMA_SUBSAMPLINGS, {
    description: 'Chroma subsampling; empty leaves it to TensorPix.',
    example: 'yuv420p',
  })
  chroma_subsampling?: (typeof CHROMA_SUBSAMPLINGS)[number];

  @EnumField(RESOLUTIONS, { description: 'Width of the output in pixels; -1 does not resize.', example: 1920 })
  output_resolution?: (typeof RESOLUTIONS)[number];

  @NumberField({ description: 'Grain to add.', min: 0, max: 1, example: 0 })
  grain?: number;

  @BooleanField({ description: 'Side by side with the original.', example: false })
  comparison?: boolean;

  @IntegerField({ description: 'Intensity of AI Stabilization; ignored without that model.', min: 0, max: 40 })
  stabilization_smoothing?: number;

  @NumberField({ description: 'Frames a second of the output; acts with the FPS Boost model only.', min: 1, max: 240 })
  target_fps?: number;

  @NumberField({ description: 'Playback speed; acts with the Slow Motion model only.', min: 0.1, max: 1 })
  playback_speed?: number;

  @NumberField({ description: 'Intensity of AI Sharpen; ignored without that model.', min: 0, max: 10 })
  sharpen_strength?: number;

  @BooleanField({ description: 'Free, short and watermarked.', example: false })
  preview?: boolean;

  @IntegerField({ description: 'First frame to enhance.', min: 0, max: MAX_INT, nullable: true })
  start_frame?: number | null;

  @checkedBy(endsAfterStart)
  @IntegerField({
    description: 'Last frame to enhance; greater than `start_frame`.',
    min: 1,
    max: MAX_INT,
    nullable: true,
  })
  end_frame?: number | null;

  @EnumListField(JOB_WEBHOOK_TYPES, {
    description: `Webhooks that the callback URL gets; default ${DEFAULT_JOB_EVENTS.join(', ')}.`,
    maxItems: JOB_WEBHOOK_TYPES.length,
    nullable: true,
  })
  callback_events?: WebhookType[] | null;
}

function endsAfterStart(end: unknown, body: object): string | null {
  const { start_frame: start } = body as CreateJobDto;
  return typeof end === 'number' && typeof start === 'number' && end <= start
    ? 'must be greater than start_frame'
    : null;
}
