import type { OutboundOutcome } from '../../common/outbound/outbound-client.js';

/** A line of the attempt log, as it is written. Durations in milliseconds. */
export interface AttemptRecord {
  started_at: Date;
  url: string;
  request_headers: Record<string, string>;
  response_status: number | null;
  error_class: string | null;
  error: string | null;
  dns_ms: number | null;
  connect_ms: number | null;
  tls_ms: number | null;
  first_byte_ms: number | null;
  total_ms: number;
  response_excerpt: string | null;
}

const HIDDEN = '[hidden]';

/** Shorter values occur by chance. */
const SHORTEST_HIDDEN = 6;

/**
 * @param headers what was given to be sent; the log has what really went out with it too, where there was a request
 * @param own the client's own headers: their values may be keys, and stay out of the log, also where a receiver echoes them
 */
export function attemptRecord(
  startedAt: Date,
  url: string,
  headers: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
  outcome: OutboundOutcome,
): AttemptRecord {
  const { dns, connect, tls, firstByte, total } = outcome.phases;
  const shown = Object.entries(outcome.requestHeaders ?? headers).map(([name, value]) => [
    name,
    name in own ? HIDDEN : value,
  ]);
  const answered = outcome.kind === 'response';
  const failed = !answered || outcome.status < 200 || outcome.status > 299;
  return {
    started_at: startedAt,
    url,
    request_headers: Object.fromEntries(shown) as Record<string, string>,
    response_status: outcome.status ?? null,
    error_class: answered ? (failed ? 'http' : null) : outcome.errorClass,
    error: answered ? (failed ? `the receiver answered ${outcome.status}` : null) : outcome.message,
    dns_ms: dns,
    connect_ms: connect,
    tls_ms: tls,
    first_byte_ms: firstByte,
    total_ms: total,
    response_excerpt: outcome.bodyExcerpt === undefined ? null : withoutOwn(outcome.bodyExcerpt, own),
  };
}

function withoutOwn(excerpt: string, own: Readonly<Record<string, string>>): string {
  const values = Object.values(own).filter((value) => value.length >= SHORTEST_HIDDEN);
  return values.reduce((text, value) => text.replaceAll(value, HIDDEN), excerpt);
}
