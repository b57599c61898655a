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
