import { Injectable } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import type { Socket } from 'node:net';
import { Logger } from '../logging/logger.js';

const SWEEP_MS = 100;
/** A request that has begun to arrive when the server closes has this long to be there. Milliseconds. */
const ARRIVAL_MS = 3_000;

/** Ends the HTTP server once all that was asked is answered, whatever clients leave open. */
@Injectable()
export class GracefulClose {
  /** Requests that have arrived whole and are being answered, by connection. */
  private readonly answering = new Map<Socket, number>();

  constructor(private readonly logger: Logger) {}

  watch(fastify: FastifyInstance): void {
    fastify.addHook('preValidation', (request, reply, done) => {
      const { socket } = request.raw;
      if (!socket.destroyed) {
        this.answering.set(socket, (this.answering.get(socket) ?? 0) + 1);
        reply.raw.once('close', () => this.answered(socket));
      }
      done();
    });
    // Neither Fastify nor Node reports every answer whose reader has hung up.
    fastify.server.on('connection', (socket: Socket) => {
      socket.once('close', () => this.answering.delete(socket));
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
      if (this.answering.size === 0 && performance.now() > arrivalUntilMs) fastify.server.closeAllConnections();
    }, SWEEP_MS);
    try {
      await fastify.close();
    } finally {
      clearInterval(sweep);
    }
  }

  private answered(socket: Socket): void {
    const left = (this.answering.get(socket) ?? 0) - 1;
    if (left > 0) this.answering.set(socket, left);
    else this.answering.delete(socket);
  }
}
