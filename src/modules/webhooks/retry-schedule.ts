import type { OutboundOutcome } from '../../common/outbound/outbound-client.js';
import { parseRetryAfter } from '../../common/http/retry-after.js';
import { withAddedJitterMs } from '../../common/loops/backoff.js';
import type { DeliveryOutcome } from './delivery-outcomes.store.js';

const JITTER = 0.2;
/** A receiver may ask for a later retry, but not for one in a year. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
const GONE = 410;

export type Verdict = Pick<DeliveryOutcome, 'status' | 'retryInMs' | 'error'>;

/** The receiver wants nothing more (RFC 9110, section 15.5.11). */
export function isGone(outcome: OutboundOutcome): boolean {
  return outcome.kind === 'response' && outcome.status === GONE;
}

/**
 * What follows from an attempt (contract, section 7): a 2xx delivers, 410 stops, anything else is tried again after
 * the schedule's next step with up to 20 % added. `Retry-After` only ever delays.
 *
 * @param attempts attempts made before this one
 */
export function verdictOf(
  outcome: OutboundOutcome,
  attempts: number,
  scheduleMs: readonly number[],
  random?: () => number,
): Verdict {
  if (outcome.kind === 'response' && outcome.status >= 200 && outcome.status < 300) {
    return { status: 'delivered', retryInMs: null, error: null };
  }
  const error = describe(outcome);
  const stepMs = scheduleMs[attempts];
  if (isGone(outcome) || stepMs === undefined) return { status: 'exhausted', retryInMs: null, error };
  const askedMs = outcome.kind === 'response' ? (parseRetryAfter(outcome.retryAfter, MAX_RETRY_AFTER_MS) ?? 0) : 0;
  return { status: 'failing', retryInMs: Math.max(withAddedJitterMs(stepMs, JITTER, random), askedMs), error };
}

function describe(outcome: OutboundOutcome): string {
  return outcome.kind === 'response'
    ? `http: the receiver answered ${outcome.status}`
    : `${outcome.errorClass}: ${outcome.message}`;
}
