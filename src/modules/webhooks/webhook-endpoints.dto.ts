import { ApiProperty } from '@nestjs/swagger';
import { NextCursor } from '../../common/http/page.dto.js';
import {
  CheckedJsonField,
  EnumField,
  EnumListField,
  IntegerField,
  StringField,
} from '../../common/validation/fields.js';
import { checkEndpointHeaders } from './endpoint-headers.js';
import { ENDPOINT_STATUSES, type EndpointDisabledReason, type EndpointStatus } from './webhook-endpoints.store.js';
import { ENDPOINT_WEBHOOK_TYPES } from './webhook-types.js';

/** Seconds for which a replaced secret signs along, unless the request says otherwise (contract, section 7). */
export const DEFAULT_OVERLAP_SECONDS = 86_400;

const URL_OF_ENDPOINT = {
  description: 'Where the webhooks go: https, and http where the gateway allows it.',
  minLength: 1,
  maxLength: 2048,
  format: 'uri',
  example: 'https://hooks.example.com/tensorpix',
};

class EndpointSettingsDto {
  @EnumListField(ENDPOINT_WEBHOOK_TYPES, {
    description: 'Types of webhooks that it gets; omitted: all but `job.progress`.',
    minItems: 1,
    maxItems: ENDPOINT_WEBHOOK_TYPES.length,
    example: ['job.finished', 'job.failed'],
  })
  events?: string[];

  @StringField({ description: 'What it is for.', maxLength: 500, example: 'render farm' })
  description?: string;

  @CheckedJsonField(
    {
      description:
        'Headers that are sent along, at most 20. Not those of HTTP itself and not `webhook-…`. Encrypted at rest.',
      nullable: true,
      example: { 'X-Environment': 'production' },
    },
    { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 20 },
    checkEndpointHeaders,
  )
  headers?: Record<string, string> | null;
}

/** Body of `POST /v1/webhook-endpoints`. */
export class CreateEndpointDto extends EndpointSettingsDto {
  @StringField({ ...URL_OF_ENDPOINT, required: true })
  url!: string;
}

/** Body of `PATCH /v1/webhook-endpoints/{id}`: what is given changes. */
export class UpdateEndpointDto extends EndpointSettingsDto {
  @StringField(URL_OF_ENDPOINT)
  url?: string;

  @EnumField(ENDPOINT_STATUSES, {
    description: 'What falls due while it is paused or disabled is kept, and sent in order once it is enabled.',
  })
  status?: EndpointStatus;
}

/** Body of `POST …/rotate-secret` and `POST /v1/webhook-secret/rotate`. */
export class RotateSecretDto {
  @IntegerField({
    description: 'How long the old secret signs along, in seconds.',
    min: 0,
    max: 30 * 86_400,
    nullable: true,
    example: DEFAULT_OVERLAP_SECONDS,
  })
  overlap_seconds?: number | null;
}

/** A standing endpoint as webhooks about it carry it. */
export class EndpointSnapshotResource {
  @ApiProperty({ format: 'uuid' }) id!: string;
  @ApiProperty({ enum: ['webhook_endpoint'] }) object!: 'webhook_endpoint';
  @ApiProperty({ description: 'Where the webhooks go.', example: URL_OF_ENDPOINT.example }) url!: string;
  @ApiProperty({ description: 'What it is for.', example: 'render farm' }) description!: string;
  @ApiProperty({ description: 'Types of webhooks that it gets.', type: [String], enum: [...ENDPOINT_WEBHOOK_TYPES] })
  events!: string[];
  @ApiProperty({ description: 'What falls due while it is paused or disabled is kept.', enum: [...ENDPOINT_STATUSES] })
  status!: EndpointStatus;

  @ApiProperty({
    description: 'Why the gateway disabled it: it answered 410, or nothing got through for five days.',
    type: String,
    enum: ['gone', 'failing'],
    nullable: true,
  })
  status_reason!: EndpointDisabledReason | null;

  @ApiProperty({
    description: 'Since when no attempt has got through.',
    type: String,
    format: 'date-time',
    nullable: true,
  })
  failing_since!: string | null;

  @ApiProperty({ format: 'date-time', description: 'When it was created.' }) created_at!: string;
  @ApiProperty({ format: 'date-time', description: 'The last change.' }) updated_at!: string;
}

/** A standing endpoint (contract, section 7). */
export class EndpointResource extends EndpointSnapshotResource {
  @ApiProperty({
    description: 'Headers that are sent along.',
    type: 'object',
    additionalProperties: { type: 'string' },
    example: { 'X-Environment': 'production' },
  })
  headers!: Record<string, string>;
}

/** The answers that show the signing secret: of the create and of a rotation. */
export class EndpointWithSecretResource extends EndpointResource {
  @ApiProperty({ description: 'Signs its webhooks.', example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' })
  secret!: string;
}

/** A page of standing endpoints, newest first (contract, section 7). */
export class EndpointPage {
  @ApiProperty({ type: [EndpointResource] }) data!: EndpointResource[];
  @NextCursor() next_cursor!: string | null;
}
