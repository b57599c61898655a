import { StreamableFile } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { finished, type Readable } from 'node:stream';
import { EVENT_STREAM_HEADERS } from './event-stream.js';

/** An answer that goes on for as long as its reader stays. */
export class StreamedReply {
  private done = false;

  /** @param onOver called once, when the reader has got all of it or is gone */
  constructor(
    private readonly request: FastifyRequest,
    private readonly reply: FastifyReply,
    private readonly onOver: () => void,
  ) {
    finished(reply.raw, () => this.over());
  }

  /**
   * To be called now and then: an answer that waits behind another one on its connection (pipelining) has no socket
   * yet, and Node does not tell it when the connection goes.
   */
  noticeEnd(): void {
    if (this.request.raw.socket.destroyed || this.reply.raw.destroyed) this.over();
  }

  /** Closes the connection of a reader that does not take the rest; one that waits behind another answer, in its turn. */
  drop(): void {
    if (!this.done) this.reply.raw.destroy();
  }

  private over(): void {
    if (this.done) return;
    this.done = true;
    this.onOver();
  }
}

/** Answers a stream of events; without one there is nothing more to come, and 204 tells an EventSource to stop. */
export function writeEventStream(reply: FastifyReply, body: Readable | null): StreamableFile | undefined {
  void (body ? reply.headers(EVENT_STREAM_HEADERS) : reply.status(204));
  return body ? new StreamableFile(body, { type: EVENT_STREAM_HEADERS['content-type'] }) : undefined;
}
