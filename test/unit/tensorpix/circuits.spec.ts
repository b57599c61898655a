import { beforeEach, describe, expect, it } from '@jest/globals';
import type { CallOutcome, RefusalReason } from '../../../src/modules/tensorpix/call-outcome.js';
import { CircuitBreaker } from '../../../src/modules/tensorpix/circuit-breaker.js';
import { Circuits, healthOf, type CallHealth, type Passage } from '../../../src/modules/tensorpix/circuits.js';

const FAILURES_UNTIL_OPEN = 10;

let nowMs: number;
let host: CircuitBreaker;
let circuits: Circuits;

beforeEach(() => {
  nowMs = 1_000;
  host = new CircuitBreaker(undefined, () => nowMs);
  circuits = new Circuits(host, () => nowMs);
});

function enter(token: string): Passage {
  const passage = circuits.enter(token);
  if ('waitMs' in passage) throw new Error('no passage');
  return passage;
}

function calls(token: string, health: CallHealth, times = 1): void {
  for (let i = 0; i < times; i += 1) circuits.leave(enter(token), health);
}

const waitOf = (token: string) => {
  const passage = circuits.enter(token);
  if ('waitMs' in passage) return passage.waitMs;
  circuits.leave(passage, 'unclear');
  return 0;
};

describe('a token that is not served', () => {
  it('should be left alone after ten failures in a row, and nobody else', () => {
    calls('broken', 'failing', FAILURES_UNTIL_OPEN);
    expect(waitOf('broken')).toBeGreaterThan(0);
    expect([host.isOpen, waitOf('other'), circuits.openTokens]).toEqual([false, 0, 1]);
  });

  it('should not open the circuit of all with calls that were under way together, whose number has no bound', () => {
    const passages = Array.from({ length: 200 }, () => enter('broken'));
    for (const each of passages) circuits.leave(each, 'failing');
    expect([host.isOpen, circuits.openTokens]).toEqual([false, 1]);
  });

  it('should count anew after every answer', () => {
    for (let i = 0; i < 5; i += 1) {
      calls('one', 'failing', FAILURES_UNTIL_OPEN - 1);
      calls('one', 'up');
    }
    expect([waitOf('one'), host.isOpen, circuits.openTokens]).toEqual([0, false, 0]);
  });

  it('should have one call that tries when its pause is over, and be free again when that is answered', () => {
    calls('broken', 'failing', FAILURES_UNTIL_OPEN);
    nowMs += waitOf('broken');
    const probe = enter('broken');
    expect(circuits.enter('broken')).toEqual({ waitMs: 0 });
    circuits.leave(probe, 'failing');
    expect(waitOf('broken')).toBeGreaterThanOrEqual(2_000);
    nowMs += waitOf('broken');
    calls('broken', 'up');
    calls('broken', 'failing', FAILURES_UNTIL_OPEN - 1);
    expect(waitOf('broken')).toBe(0);
  });

  it('should say nothing more of the host by going on failing', () => {
    calls('broken', 'failing', FAILURES_UNTIL_OPEN);
    calls('other', 'up');
    for (let i = 0; i < 20; i += 1) {
      nowMs += waitOf('broken');
      calls('broken', 'failing');
    }
    calls('other', 'failing', FAILURES_UNTIL_OPEN - 1);
    expect(host.isOpen).toBe(false);
  });

  it('should give back the place of its try when the circuit of all is open', () => {
    calls('broken', 'failing', FAILURES_UNTIL_OPEN);
    nowMs += waitOf('broken');
    host.openFor(5_000);
    expect(circuits.enter('broken')).toEqual({ waitMs: 5_000 });
    nowMs += 5_000;
    enter('broken');
  });
});

describe('a host that does not serve', () => {
  it('should be found by two tokens', () => {
    calls('one', 'failing', FAILURES_UNTIL_OPEN / 2);
    calls('other', 'failing', FAILURES_UNTIL_OPEN / 2 - 1);
    expect(host.isOpen).toBe(false);
    calls('other', 'failing');
    expect([host.isOpen, circuits.openTokens]).toEqual([true, 0]);
    expect(waitOf('a third')).toBeGreaterThan(0);
  });

  it('should be found by one token when it cannot be reached', () => {
    calls('one', 'unreachable', FAILURES_UNTIL_OPEN);
    expect([host.isOpen, circuits.openTokens]).toEqual([true, 0]);
  });

  it('should be left alone for longer when any token tries in vain', () => {
    calls('one', 'failing', FAILURES_UNTIL_OPEN);
    calls('other', 'failing', FAILURES_UNTIL_OPEN / 2);
    nowMs += Math.max(waitOf('one'), host.waitMs);
    calls('one', 'failing');
    expect(host.waitMs).toBeGreaterThanOrEqual(2_000);
  });

  it('should serve all again when one is answered, but for a token that is not served itself', () => {
    calls('one', 'failing', FAILURES_UNTIL_OPEN);
    calls('other', 'failing', FAILURES_UNTIL_OPEN / 2);
    nowMs += host.waitMs;
    calls('a third', 'up');
    expect([host.isOpen, waitOf('other')]).toEqual([false, 0]);
    expect(circuits.openTokens).toBe(1);
  });

  it('should not be found by calls that say nothing of it', () => {
    calls('one', 'unclear', 100);
    expect([host.isOpen, circuits.openTokens]).toEqual([false, 0]);
  });
});

function refused(reason: RefusalReason, status: number): CallOutcome<never> {
  const refusal = { reason, status, detail: '', worded: true, errors: {}, nonFieldErrors: [], retryAfterMs: null };
  return { kind: 'refused', refusal };
}

describe('what a call says of the host', () => {
  it.each<[string, CallOutcome<unknown>, CallHealth]>([
    ['an answer', { kind: 'ok', value: 1 }, 'up'],
    ['400', refused('invalid', 400), 'up'],
    ['401', refused('token_rejected', 401), 'up'],
    ['402', refused('insufficient_credits', 402), 'up'],
    ['403', refused('forbidden', 403), 'up'],
    ['404', refused('not_found', 404), 'up'],
    ['409', refused('conflict', 409), 'up'],
    ['418', refused('other', 418), 'up'],
    ['429', refused('rate_limited', 429), 'up'],
    ['500', { kind: 'unknown', reason: 'server_error', status: 500, retryAfterMs: null }, 'failing'],
    ['503', { kind: 'unknown', reason: 'server_error', status: 503, retryAfterMs: 5 }, 'failing'],
    ['no answer', { kind: 'unknown', reason: 'timeout', status: null, retryAfterMs: null }, 'failing'],
    ['a reset', { kind: 'unknown', reason: 'connection_lost', status: null, retryAfterMs: null }, 'failing'],
    ['no connection', { kind: 'not_sent', reason: 'unreachable' }, 'unreachable'],
    ['a strange answer', { kind: 'unknown', reason: 'unusable_answer', status: 200, retryAfterMs: null }, 'unclear'],
    ['no free connection in time', { kind: 'not_sent', reason: 'timeout' }, 'unclear'],
    ['a call that was given up before it was written', { kind: 'not_sent', reason: 'too_late' }, 'unclear'],
    ['an open circuit', { kind: 'not_sent', reason: 'circuit_open' }, 'unclear'],
  ])('%s', (_, outcome, health) => {
    expect(healthOf(outcome)).toBe(health);
  });
});
