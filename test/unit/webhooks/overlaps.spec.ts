import { describe, expect, it } from '@jest/globals';
import type { Instance } from '../../support/webhook-crash/connections.js';
import { findOverlaps } from '../../support/webhook-crash/overlaps.js';
import type { TracedReceipt } from '../../support/webhook-crash/verdict.js';

const live = (name: string): Instance => ({ name, killedAtMs: null, stills: [] });

function receipt(id: string, arrivedAtMs: number, overAtMs: number, more: Partial<TracedReceipt> = {}): TracedReceipt {
  return {
    ...{ receiver: 'slow', id, timestamp: '1', body: '{}', complaint: null, arrivedAtMs, overAtMs, status: 204 },
    connection: { from: 1, to: 2 },
    sender: live(`sender of ${id}`),
    delivery: {} as TracedReceipt['delivery'],
    ...more,
  };
}

const overlaps = (...queue: TracedReceipt[]): number => findOverlaps(new Map([['queue', queue]])).length;

describe('what the crash tests of the webhooks take for two requests at once', () => {
  it('should be what a receiver that takes its time has at once', () => {
    expect(overlaps(receipt('a', 0, 200), receipt('b', 100, 300))).toBe(1);
    expect(overlaps(receipt('a', 0, 100), receipt('b', 101, 300))).toBe(0);
  });

  it('should not be one that its sender had given up before it was seen, whichever is seen first', () => {
    const givenUp = { status: null };
    expect(overlaps(receipt('a', 1_200, 1_400), receipt('b', 1_201, 1_202, givenUp))).toBe(0);
    expect(overlaps(receipt('a', 1_200, 1_202, givenUp), receipt('b', 1_201, 1_400))).toBe(0);
  });

  it('should be one that waited for its answer in vain, or whose sender was killed meanwhile', () => {
    expect(overlaps(receipt('a', 0, 1_000, { status: null }), receipt('b', 900, 1_100))).toBe(1);
    const killed = { status: null, sender: { ...live('killed'), killedAtMs: 150 } };
    expect(overlaps(receipt('a', 0, 200), receipt('b', 100, 160, killed))).toBe(1);
    expect(overlaps(receipt('a', 0, 160, killed), receipt('b', 100, 200))).toBe(1);
  });

  it('should not be what was sent again after its sender was killed', () => {
    const killed = { status: null, sender: { ...live('killed'), killedAtMs: 90 } };
    expect(overlaps(receipt('a', 0, 110, killed), receipt('b', 100, 200))).toBe(0);
  });
});
