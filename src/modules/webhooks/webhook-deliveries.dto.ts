import { CheckedJsonField, CheckedStringField, EnumField, StringField } from '../../common/validation/fields.js';
import { isUuid } from '../../common/validation/id.pipe.js';
import { checkTime } from '../../common/validation/time.js';
import { headerOf } from './diagnosis/pasted-headers.js';
import { PageQuery } from '../../common/http/page.dto.js';
import { DELIVERY_STATUSES, type DeliveryStatus } from './webhook-types.js';

const MAX_PASTED_HEADERS = 100;
/** Of a header of the webhook: they are part of what is signed, and that is computed with each secret of the tenant. */
const MAX_WEBHOOK_HEADER_LENGTH = 4_096;

function checkUuid(text: string): string | null {
  return isUuid(text) ? null : 'must be a UUID';
}

function checkPastedHeaders(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object';
  const headers = Object.entries(value as Record<string, unknown>);
  if (headers.length > MAX_PASTED_HEADERS) return `must have at most ${MAX_PASTED_HEADERS} headers`;
  for (const [name, text] of headers) {
    if (typeof text !== 'string') return 'must have string values';
    const header = headerOf(name);
    if (header.startsWith('webhook-') && text.length > MAX_WEBHOOK_HEADER_LENGTH)
      return `must have at most ${MAX_WEBHOOK_HEADER_LENGTH} characters in ${header}`;
  }
  return null;
}

const ID = { maxLength: 36, format: 'uuid' };
const STATUS = { description: 'Only deliveries that got so far.' };

/** Query of `GET /v1/webhook-deliveries`. */
export class ListDeliveriesQuery extends PageQuery {
  @CheckedStringField({ ...ID, description: 'Only those about this job or image.' }, checkUuid)
  job_id?: string;

  @CheckedStringField({ ...ID, description: 'Only those to this standing endpoint.' }, checkUuid)
  endpoint_id?: string;

  @EnumField(DELIVERY_STATUSES, STATUS)
  status?: DeliveryStatus;
}

/** Body of `POST /v1/webhook-deliveries/replay`. */
export class ReplayDto {
  @CheckedStringField(
    {
      description: 'Deliveries created from then on.',
      maxLength: 40,
      required: true,
      format: 'date-time',
      example: '2026-11-20T09:00:00Z',
    },
    checkTime,
  )
  since!: string;

  @CheckedStringField(
    {
      description: 'Deliveries created before; omitted: now. At most 90 days after `since`.',
      maxLength: 40,
      nullable: true,
      format: 'date-time',
    },
    checkTime,
  )
  until?: string | null;

  @CheckedStringField(
    {
      ...ID,
      description: 'Only those to this standing endpoint; omitted: to all, and to the `callback_url`s.',
      nullable: true,
    },
    checkUuid,
  )
  endpoint_id?: string | null;

  @EnumField(DELIVERY_STATUSES, { description: 'Only these; omitted: all but the superseded ones.', nullable: true })
  status?: DeliveryStatus | null;

  @StringField({
    description: '`next_cursor` of the answer before, with the same range.',
    maxLength: 200,
    nullable: true,
  })
  cursor?: string | null;
}

/** Body of `POST /v1/webhook-deliveries/replay/cancel`. */
export class CancelReplaysDto {
  @CheckedStringField(
    { ...ID, description: 'Only what goes to this standing endpoint; omitted: everything.', nullable: true },
    checkUuid,
  )
  endpoint_id?: string | null;
}

/** Body of `POST /v1/webhook-deliveries/verify`. */
export class VerifyDto {
  @CheckedJsonField(
    {
      description: 'The headers that your receiver got; names in any case.',
      required: true,
      example: { 'webhook-id': '…', 'webhook-timestamp': '1732093200', 'webhook-signature': 'v1,…' },
    },
    { type: 'object', additionalProperties: { type: 'string' }, maxProperties: MAX_PASTED_HEADERS },
    checkPastedHeaders,
  )
  headers!: Record<string, string>;

  @StringField({
    description: 'The body, as your receiver got it.',
    maxLength: 65_536,
    required: true,
    example: '{"type":"job.finished",…}',
  })
  body!: string;

  @StringField({
    description: 'The secret that your receiver uses. Neither stored nor logged.',
    maxLength: 200,
    nullable: true,
  })
  secret?: string | null;
}
