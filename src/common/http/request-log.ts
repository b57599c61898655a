import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Logger } from '../logging/logger.js';
import { redactText } from '../logging/redact.js';
import { Metrics } from '../metrics.js';

/** One log line and one measurement a request. */
@Injectable()
export class RequestLog {
  /** Answers that are streams, with the milliseconds until they began. */
  private readonly streams = new WeakMap<FastifyReply, number>();

  constructor(
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /** An answer has been sent. The line of a stream is left to `streamEnded`. */
  answered(request: FastifyRequest, reply: FastifyReply): void {
    if (!this.streams.has(reply)) this.write(request, reply, reply.elapsedTime);
  }

  /** An answer that may take hours begins. Its duration is what it took until here: how long it lasts is no slowness. */
  streamBegins(reply: FastifyReply): void {
    this.streams.set(reply, reply.elapsedTime);
  }

  /** Whoever has begun a stream tells of its end: Fastify does not report an answer whose reader has hung up. */
  streamEnded(request: FastifyRequest, reply: FastifyReply, summary: Record<string, unknown>): void {
    const beganAfterMs = this.streams.get(reply) ?? 0;
    this.write(request, reply, beganAfterMs, { ...summary, stream_ms: Math.round(reply.elapsedTime - beganAfterMs) });
  }

  private write(request: FastifyRequest, reply: FastifyReply, durationMs: number, more: object = {}): void {
    const route = request.routeOptions.url ?? 'unmatched';
    this.metrics.requests.observe({ method: request.method, route, status: reply.statusCode }, durationMs / 1000);
    const line = {
      // The only text here that a client chooses.
      request_id: redactText(request.id),
      method: request.method,
      route,
      status: reply.statusCode,
      duration_ms: Math.round(durationMs * 10) / 10,
      ...more,
      ...tenantOf(request),
    };
    if (isForOperators(route)) this.logger.debug(line, 'request');
    else this.logger.infoAsIs(line, 'request');
  }
}

/** Probes and scrapers: answered to the end of a drain, and not worth a line each. */
export function isForOperators(route: string): boolean {
  return route.startsWith('/health') || route === '/metrics';
}

function tenantOf(request: FastifyRequest): { tenant_id?: string } {
  const { tenant } = request as { tenant?: { id: string } };
  return tenant ? { tenant_id: tenant.id } : {};
}
