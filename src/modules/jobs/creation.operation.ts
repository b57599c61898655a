import { applyDecorators, type Type } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiHeader, ApiOperation, ApiResponse } from '@nestjs/swagger';
import { ApiProblems } from '../../common/http/api-problems.js';

/** `Prefer` of a create (RFC 7240; contract, section 4). */
const PREFER_HEADER = {
  name: 'Prefer',
  required: false,
  description:
    '`wait=N` (seconds, at most 60): how long the answer may take. `respond-async`: 202 at once. `handling=strict`: ' +
    "nothing is parked or repeated, TensorPix's trouble is answered as an error.",
  schema: { type: 'string', example: 'wait=10' },
} as const;

/** `Prefer` of a read. */
export const PREFER_WAIT_HEADER = { ...PREFER_HEADER, description: '`wait=N` (seconds, at most 60).' } as const;

const IDEMPOTENCY_KEY_HEADER = {
  name: 'Idempotency-Key',
  required: false,
  description:
    'A key of your own for this request, 1 to 255 printable ASCII characters, kept for 24 hours at least. Repeating the same ' +
    'request with it never makes a second job: it is answered again, with `Idempotency-Replayed: true`.',
  schema: { type: 'string', minLength: 1, maxLength: 255, example: '2f1c7a52-5a0a-4a3f-9d0b-0f9f5d6f7a11' },
} as const;

const ANSWER_HEADERS = {
  Location: { schema: { type: 'string' } },
  'Idempotency-Replayed': {
    description: '`true` when the answer was given before to the same Idempotency-Key.',
    schema: { type: 'string', example: 'true' },
  },
} as const;

interface Creation {
  summary: string;
  description: string;
  body: Type;
  resource: Type;
  /** what 201 and 202 say */
  created: string;
  accepted: string;
}

/** `POST` of a job or an image, for the OpenAPI document (contract, sections 4 and 5). */
export function CreationOperation(creation: Creation): MethodDecorator {
  const { summary, description, body, resource: type, created, accepted } = creation;
  return applyDecorators(
    ApiOperation({ summary, description }),
    ApiConsumes('application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'),
    ApiHeader(PREFER_HEADER),
    ApiHeader(IDEMPOTENCY_KEY_HEADER),
    ApiBody({ type: body }),
    ApiResponse({ status: 201, type, description: created, headers: ANSWER_HEADERS }),
    ApiResponse({ status: 202, type, description: accepted, headers: ANSWER_HEADERS }),
    ApiProblems(
      'validation_failed',
      'storage_full',
      'insufficient_credits',
      'upstream_forbidden',
      'idempotency_in_progress',
      'idempotency_mismatch',
      'rate_limited',
      'upstream_token_rejected',
      'upstream_error',
      'upstream_timeout',
    ),
  );
}
