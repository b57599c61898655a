import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiResponse } from '@nestjs/swagger';
type HeadersObject = NonNullable<Extract<Parameters<typeof ApiResponse>[0], { headers?: unknown }>['headers']>;

import { PROBLEM_CODES, type FieldErrors, type ProblemCode } from '../errors/problem.js';

/** An error as every route answers it (RFC 9457; contract, section 2). */
export class ProblemResource {
  @ApiProperty({ description: 'Always this one: `code` says what it is.', example: 'about:blank' }) type!: string;
  @ApiProperty({ description: 'Of the status.', example: 'Bad Request' }) title!: string;
  @ApiProperty({ description: 'As of the answer.', example: 400 }) status!: number;
  @ApiProperty({ description: 'Stable: to decide by.', enum: Object.keys(PROBLEM_CODES), example: 'validation_failed' })
  code!: ProblemCode;
  @ApiProperty({ description: 'For people.', example: '1 field is invalid.' }) detail!: string;
  @ApiProperty({ description: 'As of `X-Request-Id`.', example: '0190a5c2-0000-7000-8000-000000000000' })
  request_id!: string;

  @ApiProperty({
    description: 'Messages by field; on every 400.',
    selfRequired: false,
    type: 'object',
    additionalProperties: { type: 'array', items: { type: 'string' } },
    example: { crf: ['must not be greater than 51'] },
  })
  errors?: FieldErrors;

  @ApiProperty({
    description: 'Messages about the request as a whole; on every 400.',
    required: false,
    type: [String],
    example: [],
  })
  non_field_errors?: string[];

  @ApiProperty({ description: 'Set when the problem is about a job that has a row.', required: false, format: 'uuid' })
  job_id?: string;
}

const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds after which a repeat makes sense.', schema: { type: 'integer' as const } },
};

const HEADERS: Record<number, HeadersObject> = {
  401: { 'WWW-Authenticate': { schema: { type: 'string' } } },
  409: {
    'Retry-After': { description: 'Of `idempotency_in_progress`, in seconds.', schema: { type: 'integer' as const } },
  },
  415: {
    'Accept-Encoding': { description: 'When the body had a `Content-Encoding`.', schema: { type: 'string' as const } },
  },
  429: RETRY_AFTER,
  503: RETRY_AFTER,
};

/** Documents the errors of a route, grouped by status; 400 (a query), 401, 403, 500 and 503 belong to every route with a key. */
export function ApiProblems(...codes: ProblemCode[]): MethodDecorator & ClassDecorator {
  const all: ProblemCode[] = [
    'validation_failed',
    ...codes,
    'unauthenticated',
    'forbidden',
    'internal_error',
    'unavailable',
  ];
  return applyDecorators(
    ...[...groupByStatus(all)].map(([status, group]) => ApiResponse({ status, ...problemResponse(status, group) })),
  );
}

/** What any route may answer to a body, by status. */
export function bodyProblems(): Record<string, object> {
  const groups = groupByStatus(['payload_too_large', 'unsupported_media_type']);
  return Object.fromEntries([...groups].map(([status, group]) => [String(status), problemResponse(status, group)]));
}

function problemResponse(status: number, codes: ProblemCode[]) {
  return {
    description: codes.map((code) => `\`${code}\``).join(', '),
    ...(status in HEADERS && { headers: HEADERS[status] }),
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/ProblemResource' } } },
  };
}

function groupByStatus(codes: ProblemCode[]): Map<number, ProblemCode[]> {
  const groups = new Map<number, ProblemCode[]>();
  for (const code of new Set(codes)) {
    const { status } = PROBLEM_CODES[code];
    groups.set(status, [...(groups.get(status) ?? []), code]);
  }
  return groups;
}
