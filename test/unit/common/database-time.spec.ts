import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { DatabaseTime } from '../../../src/common/time/database-time.js';
import { T0 } from '../../support/job-records.js';

const T0_MS = T0.getTime();

/** The clocks of this process, which a test sets. */
const clock = { monotonicMs: 0, wallMs: 0 };

function setClocks(monotonicMs: number, wallMs: number): void {
  Object.assign(clock, { monotonicMs, wallMs });
  jest.spyOn(performance, 'now').mockImplementation(() => clock.monotonicMs);
  jest.spyOn(Date, 'now').mockImplementation(() => clock.wallMs);
}

function pass(monotonicMs: number, wallMs = monotonicMs): void {
  clock.monotonicMs += monotonicMs;
  clock.wallMs += wallMs;
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe("the database's time", () => {
  it('should lie between what it was if it was told at once and if it was told at the end of the statement', () => {
    setClocks(1_000, 0);
    const askedAtMs = performance.now();
    pass(4_000);
    const time = new DatabaseTime(T0, askedAtMs);
    pass(500);
    expect([time.now().getTime() - T0_MS, time.latest().getTime() - T0_MS]).toEqual([500, 4_500]);
  });

  it('should be taken for as late as the wall clock says when the monotonic one has stood still', () => {
    setClocks(1_000, 50_000);
    const time = new DatabaseTime(T0);
    pass(0, 30_000);
    expect([time.now().getTime() - T0_MS, time.latest().getTime() - T0_MS]).toEqual([0, 30_000]);
  });

  it('should not go back when somebody sets the wall clock back', () => {
    setClocks(1_000, 50_000);
    const time = new DatabaseTime(T0);
    pass(2_000, -10_000);
    expect([time.now().getTime() - T0_MS, time.latest().getTime() - T0_MS]).toEqual([2_000, 2_000]);
  });
});
