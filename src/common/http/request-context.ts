import type { FastifyInstance } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Draining } from '../draining.js';
import { Problem } from '../errors/problem.js';
import { isForOperators, type RequestLog } from './request-log.js';

const SANE_REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The caller's `X-Request-Id` when it is sane, else a new one (contract, section 2). */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID();
}

/** Gives every answer its request id, and writes one log line a request. */
export function registerRequestContext(
  fastify: FastifyInstance,
  { requestLog, draining }: { requestLog: RequestLog; draining: Draining },
): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    if (request.headers.host === undefined && request.raw.httpVersion !== '1.0') {
      done(Problem.invalid({}, ['The Host header is missing.']));
      return;
    }
    if (draining.begun && !isForOperators(request.routeOptions.url ?? '')) {
      // The client's next request is for another replica.
      void reply.header('connection', 'close');
      done(new Problem('unavailable', 'This replica is shutting down.', { retryAfterSeconds: 1 }));
      return;
    }
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    requestLog.answered(request, reply);
    done();
  });
}
