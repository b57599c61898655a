import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';

export const EVENT_STREAM = 'text/event-stream';

/** Nothing on the way may keep, compress or gather what is sent (the last one is nginx's own header). */
export const EVENT_STREAM_HEADERS = {
  'content-type': `${EVENT_STREAM}; charset=utf-8`,
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
} as const;

/** How soon a client whose stream has ended comes back. Milliseconds. */
const RETRY_MS = 1_000;
const RETRY_LATER_MS = 5_000;
/** First words of a stream (WHATWG HTML, section 9.2). */
export const STREAM_BEGINNING = `retry: ${RETRY_MS}\n\n`;
/** A comment, which every client passes over: it keeps proxies from closing a connection on which nothing happens. */
export const KEEP_ALIVE = ':\n\n';

/** A route that answers a stream of events when it is asked for one. */
export const StreamsEvents = () => RouteConfig({ streamsEvents: true });

/**
 * Whether a stream is wanted rather than JSON. Its type must be named: `*` does not mean it. Named beside JSON it wins,
 * unless JSON has a higher weight (RFC 9110, section 12.5.1).
 */
export function prefersEventStream(accept: string | undefined): boolean {
  const weights = new Map((accept ?? '').split(',').map(readRange));
  const stream = weights.get(EVENT_STREAM) ?? 0;
  const json = weights.get('application/json') ?? weights.get('application/*') ?? weights.get('*/*') ?? 0;
  return stream > 0 && stream >= json;
}

/** Whether this request is answered by a stream when nothing is in its way. */
export function asksForEventStream(request: FastifyRequest): boolean {
  const config = request.routeOptions.config as { streamsEvents?: boolean } | undefined;
  return config?.streamsEvents === true && prefersEventStream(request.headers.accept);
}

/**
 * A stream that ends at once and says when to come back: what a 503 is elsewhere. A browser's EventSource comes back
 * after a stream that has ended and after a lost connection, and never after a status that is not 200 (WHATWG HTML,
 * section 9.2.3).
 */
export function answerComeBack(reply: FastifyReply): void {
  void reply.status(200).headers(EVENT_STREAM_HEADERS).send(`: unavailable\nretry: ${RETRY_LATER_MS}\n\n`);
}

/** A media range and its weight; a weight that cannot be read counts as none given. */
function readRange(range: string): [type: string, weight: number] {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
  const given = parameters.map((parameter) => /^q=([01](?:\.\d{0,3})?)$/.exec(parameter)?.[1]).find(Boolean);
  return [type, Math.min(1, Number(given ?? 1))];
}
