import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DEFAULT_RETRY_SCHEDULE_MS } from '../../../src/common/config/config.js';
import type { OutboundErrorClass, OutboundOutcome } from '../../../src/common/outbound/outbound-outcome.js';
import { verdictOf } from '../../../src/modules/webhooks/retry-schedule.js';

const PHASES = { dns: null, connect: null, tls: null, firstByte: null, total: 1 };
const HOUR = 3_600_000;

function answered(status: number, retryAfter: string | null = null): OutboundOutcome {
  return { kind: 'response', status, retryAfter, bodyExcerpt: '', phases: PHASES };
}

function broken(errorClass: OutboundErrorClass): OutboundOutcome {
  return { kind: 'error', errorClass, message: 'no', phases: PHASES };
}

const ERRORS: OutboundErrorClass[] = [
  'dns',
  'connect',
  'tls',
  'timeout',
  'reset',
  'redirect',
  'forbidden_address',
  'http',
  'too_large',
];

describe('what follows from an attempt', () => {
  it('should have the schedule of the contract', () => {
    expect(DEFAULT_RETRY_SCHEDULE_MS).toEqual([
      5_000,
      300_000,
      1_800_000,
      ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
    ]);
  });

  it.each([200, 201, 202, 204, 299])('should count %i as delivered', (status) => {
    expect(verdictOf(answered(status), 3, [1])).toEqual({ status: 'delivered', retryInMs: null, error: null });
  });

  it.each([100, 301, 302, 304, 400, 401, 404, 408, 429, 500, 503])('should try again after a %i', (status) => {
    expect(verdictOf(answered(status), 0, [1_000], () => 0)).toEqual({
      status: 'failing',
      retryInMs: 1_000,
      error: `http: the receiver answered ${status}`,
    });
  });

  it.each(ERRORS)('should try again after %s', (errorClass) => {
    expect(verdictOf(broken(errorClass), 0, [1_000], () => 0)).toEqual({
      status: 'failing',
      retryInMs: 1_000,
      error: `${errorClass}: no`,
    });
  });

  it('should stop at once at a 410', () => {
    expect(verdictOf(answered(410, '5'), 0, [1_000])).toMatchObject({ status: 'exhausted', retryInMs: null });
  });

  it('should make as many retries as the schedule has steps', () => {
    const verdicts = Array.from({ length: 11 }, (_, attempts) =>
      verdictOf(answered(500), attempts, DEFAULT_RETRY_SCHEDULE_MS, () => 0),
    );
    expect(verdicts.map(({ retryInMs }) => retryInMs)).toEqual([...DEFAULT_RETRY_SCHEDULE_MS, null, null]);
    expect(verdicts.at(-1)?.status).toBe('exhausted');
  });

  it('should only add to a step of the schedule, at most a fifth', () => {
    const random = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.nat({ max: 8 }), random, (attempts, value) => {
        const step = DEFAULT_RETRY_SCHEDULE_MS[attempts] ?? 0;
        const { retryInMs } = verdictOf(answered(500), attempts, DEFAULT_RETRY_SCHEDULE_MS, () => value);
        expect(retryInMs).toBeGreaterThanOrEqual(step);
        expect(retryInMs).toBeLessThanOrEqual(step * 1.2 + 1);
      }),
    );
  });

  it.each([400, 401, 404, 422, 499])('should come within minutes once the job has ended after a %i', (status) => {
    const verdicts = [0, 1, 2, 3].map((attempts) =>
      verdictOf(answered(status), attempts, DEFAULT_RETRY_SCHEDULE_MS, () => 0),
    );
    expect(verdicts.map(({ retryAtEndInMs }) => retryAtEndInMs)).toEqual([undefined, 60_000, 60_000, 60_000]);
    expect(verdictOf(answered(status, '600'), 2, DEFAULT_RETRY_SCHEDULE_MS, () => 0).retryAtEndInMs).toBe(600_000);
  });

  it.each([408, 425, 429, 500, 503])('should keep to the schedule once the job has ended after a %i', (status) => {
    expect(verdictOf(answered(status), 2, DEFAULT_RETRY_SCHEDULE_MS).retryAtEndInMs).toBeUndefined();
  });

  it('should let Retry-After delay, never hasten, and never by more than a day', () => {
    const after = (retryAfter: string) => verdictOf(answered(503, retryAfter), 0, [5_000], () => 0).retryInMs;
    expect(after('60')).toBe(60_000);
    expect(after('1')).toBe(5_000);
    expect(after('0')).toBe(5_000);
    expect(after('999999999')).toBe(24 * HOUR);
    expect(after('99999999999999999999')).toBe(24 * HOUR);
    expect(after('soon')).toBe(5_000);
    expect(after('-60')).toBe(5_000);
    expect(after('Thu, 01 Jan 1970 00:00:00 GMT')).toBe(5_000);
    expect(after(new Date(Date.now() + 120_000).toUTCString())).toBeGreaterThan(100_000);
  });

  it('should let a redirect delay too', () => {
    const redirect: OutboundOutcome = { ...broken('redirect'), status: 302, retryAfter: '60' };
    expect(verdictOf(redirect, 0, [5_000], () => 0)).toMatchObject({ status: 'failing', retryInMs: 60_000 });
  });

  it('should take any header for a Retry-After without ever hastening', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        const { retryInMs } = verdictOf(answered(503, header), 0, [5_000], () => 0);
        expect(retryInMs).toBeGreaterThanOrEqual(5_000);
        expect(retryInMs).toBeLessThanOrEqual(24 * HOUR);
      }),
    );
  });
});
