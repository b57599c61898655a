import { ApiProperty } from '@nestjs/swagger';
import { NextCursor } from '../../common/http/page.dto.js';
import { DELIVERY_STATUSES, type DeliveryStatus } from './webhook-types.js';

/** A webhook to one receiver (contract, section 7). */
export class DeliveryResource {
  @ApiProperty({ format: 'uuid', description: 'Its `webhook-id`.' }) id!: string;
  @ApiProperty({ enum: ['webhook_delivery'] }) object!: 'webhook_delivery';
  @ApiProperty({ description: 'Of the event.', example: 'job.finished' }) type!: string;
  @ApiProperty({ type: String, format: 'uuid', nullable: true, description: 'The job or image that it is about.' })
  job_id!: string | null;
  @ApiProperty({ type: String, format: 'uuid', nullable: true, description: 'null: the `callback_url` of the job.' })
  endpoint_id!: string | null;
  @ApiProperty({ type: 'integer', description: 'Number of the event in the history of its job.', example: 3 })
  sequence!: number;
  @ApiProperty({ description: 'Where it goes now.', example: 'https://hooks.example.com/tensorpix' }) url!: string;
  @ApiProperty({
    description:
      '`pending`: no attempt yet. `failing`: tried again. `exhausted`: given up. `superseded`: a later webhook took its place.',
    enum: [...DELIVERY_STATUSES],
  })
  status!: DeliveryStatus;
  @ApiProperty({
    description: 'Scheduled attempts made; manual ones stand in `attempts` only, but that of a test counts.',
    example: 1,
  })
  attempt_count!: number;
  @ApiProperty({ type: String, nullable: true, description: 'Class and reason of the last failure.' }) last_error!:
    string | null;
  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'null: nothing is scheduled, an earlier webhook has to go first, or it is being sent.',
  })
  next_attempt_at!: string | null;
  @ApiProperty({ format: 'date-time', description: 'When its event happened.' }) created_at!: string;
  @ApiProperty({ format: 'date-time', description: 'The last change.' }) updated_at!: string;
}

class DurationsResource {
  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'Until the name was resolved, or not. null: the addresses were at hand, or nothing was asked for.',
  })
  dns!: number | null;
  @ApiProperty({
    type: Number,
    nullable: true,
    description:
      'Until the TCP connection stood, or was refused. null: an open connection was used again, the attempt did not get ' +
      'so far, or its time ran out meanwhile; then `error` says `no TCP connection`.',
  })
  connect!: number | null;
  @ApiProperty({
    type: Number,
    nullable: true,
    description:
      'Until the TLS handshake had succeeded or failed. null: as for `connect`, then `error` says `no TLS handshake`; ' +
      'or the URL is http.',
  })
  tls!: number | null;
  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'From the request to the headers of the answer. null: they did not come.',
  })
  first_byte!: number | null;
  @ApiProperty({ description: 'The whole attempt, waiting for a free connection included.' }) total!: number;
}

/** One attempt of a delivery. */
export class AttemptResource {
  @ApiProperty({ format: 'date-time', description: 'When it began.' }) timestamp!: string;
  @ApiProperty({ description: 'Asked for by `retry`, `replay` or `test`.' }) manual!: boolean;
  @ApiProperty({ description: 'Where it went.' }) url!: string;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'As sent, all of them, also where nothing took them; the values of your own headers are hidden.',
  })
  request_headers!: Record<string, string>;
  @ApiProperty({ type: 'integer', nullable: true, description: 'null: no answer came.' }) response_status!:
    number | null;
  @ApiProperty({
    description: 'null: it was delivered.',
    type: String,
    nullable: true,
    enum: ['dns', 'connect', 'tls', 'timeout', 'reset', 'http', 'redirect', 'forbidden_address', 'too_large'],
  })
  error_class!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'The reason in a sentence.' }) error!: string | null;
  @ApiProperty({ description: 'Milliseconds.' }) duration_ms!: DurationsResource;
  @ApiProperty({ type: String, nullable: true, description: 'The first 2 kB of the answer.' }) response_body!:
    string | null;
}

/** A webhook with its body and attempts (contract, section 7). */
export class DeliveryDetailResource extends DeliveryResource {
  @ApiProperty({ description: 'The exact text that is signed and sent at every attempt.' }) body!: string;
  @ApiProperty({ type: [AttemptResource], description: 'The newest 100, oldest first.' }) attempts!: AttemptResource[];
}

/** A page of webhooks, newest first (contract, section 7). */
export class DeliveryPage {
  @ApiProperty({ type: [DeliveryResource] }) data!: DeliveryResource[];
  @NextCursor() next_cursor!: string | null;
}

/** What a replay has queued (contract, section 7). */
export class ReplayResource {
  @ApiProperty({ enum: ['webhook_replay'] }) object!: 'webhook_replay';
  @ApiProperty({ type: 'integer', description: 'Deliveries that are sent again.', example: 42 }) replayed!: number;
  @ApiProperty({ type: String, nullable: true, description: 'There is more: ask again with this cursor.' })
  next_cursor!: string | null;
}

/** What a canceled replay has taken back. */
export class CanceledReplaysResource {
  @ApiProperty({ enum: ['webhook_replay'] }) object!: 'webhook_replay';
  @ApiProperty({ type: 'integer', description: 'Deliveries that are not sent again after all.', example: 42 })
  canceled!: number;
}

class CheckResource {
  @ApiProperty({ description: 'What was looked at.', example: 'body' }) name!: string;
  @ApiProperty({ type: Boolean, nullable: true, description: 'null: it could not be judged.' }) ok!: boolean | null;
  @ApiProperty({ description: 'What was found, and what to do.' }) detail!: string;
}

/** What a receiver that follows Standard Webhooks makes of a pasted webhook, check by check. */
export class DiagnosisResource {
  @ApiProperty({ enum: ['webhook_diagnosis'] }) object!: 'webhook_diagnosis';
  @ApiProperty({ description: 'A receiver that follows the standard would take it.' }) valid!: boolean;
  @ApiProperty({
    type: [CheckResource],
    description: 'One of `headers`, `timestamp`, `signature_format`, `secret`, `body` and `signature` each.',
  })
  checks!: CheckResource[];
  @ApiProperty({
    type: String,
    nullable: true,
    description: '`callback_url`, or the id of an endpoint: whose secret signed it.',
  })
  signed_by!: string | null;
}
