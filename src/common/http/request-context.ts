import type { FastifyInstance, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Draining } from '../draining.js';
import { Problem } from '../errors/problem.js';
import type { Logger } from '../logging/logger.js';
import { redactText } from '../logging/redact.js';
import type { Metrics } from '../metrics.js';

const SANE_REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** The caller's `X-Request-Id` when it is sane, else a new one (contract, section 2). */
export function requestIdOf(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID();
}

/** Gives every answer its request id, and writes one log line a request. */
export function registerRequestContext(
  fastify: FastifyInstance,
  { logger, metrics, draining }: { logger: Logger; metrics: Metrics; draining: Draining },
): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    if (request.headers.host === undefined && request.raw.httpVersion !== '1.0') {
      done(Problem.invalid({}, ['The Host header is missing.']));
      return;
    }
    if (draining.begun && !isForOperators(request.routeOptions.url ?? '')) {
      done(new Problem('unavailable', 'This replica is shutting down.', { retryAfterSeconds: 1 }));
      return;
    }
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unmatched';
    metrics.requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
    const line = {
      // The only text here that a client chooses.
      request_id: redactText(request.id),
      method: request.method,
      route,
      status: reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      ...tenantOf(request),
    };
    if (isForOperators(route)) logger.debug(line, 'request');
    else logger.infoAsIs(line, 'request');
    done();
  });
}

/** Probes and scrapers: answered to the end, and not worth a line each. */
function isForOperators(route: string): boolean {
  return route.startsWith('/health') || route === '/metrics';
}

function tenantOf(request: FastifyRequest): { tenant_id?: string } {
  const { tenant } = request as { tenant?: { id: string } };
  return tenant ? { tenant_id: tenant.id } : {};
}
