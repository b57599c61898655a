import type { OutboundOutcome } from '../../common/outbound/outbound-client.js';
import { parseRetryAfter } from '../../common/http/retry-after.js';
import { withAddedJitterMs } from '../../common/loops/backoff.js';
import type { DeliveryOutcome } from './delivery-outcomes.store.js';

const JITTER = 0.2;
/** A receiver may ask for a later retry, but not for one in a year. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
/** The receiver wants nothing more (RFC 9110, section 15.5.11). */
export const GONE = 410;
/** Steps of the schedule once the job has ended, at most, for what the receiver refuses. */
const REFUSED_STEP_MS = 60_000;
/** Of the client errors those that say "later" (RFC 9110, section 15.5.9; RFC 8470; RFC 6585, section 4). */
const LATER: ReadonlySet<number> = new Set([408, 425, 429]);

export type Verdict = Pick<DeliveryOutcome, 'status' | 'retryInMs' | 'retryAtEndInMs' | 'error'>;

/** 410: the receiver wants nothing more. */
export function isGone(outcome: OutboundOutcome): boolean {
  return outcome.kind === 'response' && outcome.status === GONE;
}

/**
 * What follows from an attempt (contract, section 7): a 2xx delivers, 410 stops, anything else is tried again after
 * the schedule's next step with up to 20 % added. `Retry-After` only ever delays.
 *
 * A receiver that is there and refuses an event will hardly take it later: once the job has ended, its five failures come
 * within minutes, and the last event of the job gets its turn.
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
  const askedMs = parseRetryAfter(outcome.retryAfter, MAX_RETRY_AFTER_MS) ?? 0;
  const after = (ms: number): number => Math.max(withAddedJitterMs(ms, JITTER, random), askedMs);
  const verdict: Verdict = { status: 'failing', retryInMs: after(stepMs), error };
  if (isRefusal(outcome) && stepMs > REFUSED_STEP_MS) verdict.retryAtEndInMs = after(REFUSED_STEP_MS);
  return verdict;
}

function isRefusal(outcome: OutboundOutcome): boolean {
  return outcome.kind === 'response' && outcome.status >= 400 && outcome.status < 500 && !LATER.has(outcome.status);
}

function describe(outcome: OutboundOutcome): string {
  return outcome.kind === 'response'
    ? `http: the receiver answered ${outcome.status}`
    : `${outcome.errorClass}: ${outcome.message}`;
}
