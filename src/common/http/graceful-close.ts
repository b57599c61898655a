import { Injectable } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { Logger } from '../logging/logger.js';

const SWEEP_MS = 100;
/** A request that has begun to arrive when the server closes has this long to be there. Milliseconds. */
const ARRIVAL_MS = 3_000;

/** Ends the HTTP server once all that was asked is answered, whatever clients leave open. */
@Injectable()
export class GracefulClose {
  /** Requests that have arrived whole and are being answered. */
  private answering = 0;

  constructor(private readonly logger: Logger) {}

  watch(fastify: FastifyInstance): void {
    fastify.addHook('preValidation', (_request, reply, done) => {
      this.answering += 1;
      // Fastify does not report an answer whose reader has hung up.
      reply.raw.once('close', () => (this.answering -= 1));
      done();
    });
    // A connection that cannot be accepted. Before it listens, whoever starts the server hears of it.
    fastify.server.once('listening', () => {
      fastify.server.on('error', (error) => this.logger.error({ err: error }, 'a connection could not be accepted'));
    });
  }

  /**
   * A connection that is kept alive after its last answer would hold this up until its keep-alive time is over, so idle ones are
   * closed again and again. One that has brought nothing, or half a request, counts as busy to Node, and for ever.
   */
  async close(fastify: FastifyInstance): Promise<void> {
    const arrivalUntilMs = performance.now() + ARRIVAL_MS;
    const sweep = setInterval(() => {
      fastify.server.closeIdleConnections();
      if (this.answering === 0 && performance.now() > arrivalUntilMs) fastify.server.closeAllConnections();
    }, SWEEP_MS);
    try {
      await fastify.close();
    } finally {
      clearInterval(sweep);
    }
  }
}
