/** `Prefer` of a create, for the OpenAPI document (RFC 7240; contract, section 4). */
export const PREFER_HEADER = {
  name: 'Prefer',
  required: false,
  description:
    '`wait=N` (seconds, at most 60): how long the answer may take. `respond-async`: 202 at once. `handling=strict`: ' +
    "nothing is parked or repeated, TensorPix's trouble is answered as an error.",
  schema: { type: 'string', example: 'wait=10' },
} as const;

/** `Prefer` of a read. */
export const PREFER_WAIT_HEADER = { ...PREFER_HEADER, description: '`wait=N` (seconds, at most 60).' } as const;

export const IDEMPOTENCY_KEY_HEADER = {
  name: 'Idempotency-Key',
  required: false,
  description:
    'A key of your own for this request, 1 to 255 printable ASCII characters, kept for 24 hours at least. Repeating the same ' +
    'request with it never makes a second job: it is answered again, with `Idempotency-Replayed: true`.',
  schema: { type: 'string', minLength: 1, maxLength: 255, example: '2f1c7a52-5a0a-4a3f-9d0b-0f9f5d6f7a11' },
} as const;

/** Headers of the answer of a create. */
export const CREATED_HEADERS = {
  Location: { schema: { type: 'string' } },
  'Idempotency-Replayed': {
    description: '`true` when the answer was given before to the same Idempotency-Key.',
    schema: { type: 'string', example: 'true' },
  },
} as const;
