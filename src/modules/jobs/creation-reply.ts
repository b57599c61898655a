import type { FastifyReply, FastifyRequest } from 'fastify';
import { parsePrefer } from '../../common/http/prefer.js';
import type { Created } from './creation-answer.js';
import { readIdempotencyKey } from './idempotency/idempotency-key.js';
import type { CreateOptions } from './job-creation.service.js';
import type { JobView } from './job-resource.js';

/** What the headers of a create say. @throws Problem 400 on `Idempotency-Key` */
export function createOptions(request: FastifyRequest, reply: FastifyReply): CreateOptions {
  return {
    prefer: parsePrefer(request.headers.prefer),
    key: readIdempotencyKey(idempotencyKeys(request)),
    requestId: request.id,
    isConnected: () => !reply.raw.destroyed,
  };
}

/** Every `Idempotency-Key` by itself, which Node sorts out for all headers at once: only when there is one. */
function idempotencyKeys({ headers, raw }: FastifyRequest): string[] {
  return headers['idempotency-key'] === undefined ? [] : (raw.headersDistinct['idempotency-key'] ?? []);
}

/** Sets status and headers of a create's answer, and returns its body. */
export function writeCreated(reply: FastifyReply, { status, location, body, replayed }: Created): JobView | string {
  void reply.status(status).header('location', location);
  if (replayed) void reply.header('idempotency-replayed', 'true');
  if (typeof body === 'string') {
    const type = status >= 400 ? 'application/problem+json' : 'application/json';
    void reply.header('content-type', `${type}; charset=utf-8`);
  }
  return body;
}
