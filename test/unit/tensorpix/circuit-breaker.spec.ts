import { beforeEach, describe, expect, it } from '@jest/globals';
import { CircuitBreaker, type Health, type Pass } from '../../../src/modules/tensorpix/circuit-breaker.js';

const FAILURES_UNTIL_OPEN = 10;
/** Longer than any pause. */
const LONG_MS = 60_000;

let nowMs: number;
let breaker: CircuitBreaker;

beforeEach(() => {
  nowMs = 1_000;
  breaker = new CircuitBreaker(undefined, () => nowMs);
});

function enter(): Pass {
  const pass = breaker.enter();
  if (!pass) throw new Error('no pass');
  return pass;
}

function calls(health: Health, times = 1): void {
  for (let i = 0; i < times; i += 1) breaker.leave(enter(), health);
}

function open(): void {
  calls('down', FAILURES_UNTIL_OPEN);
  expect(breaker.isOpen).toBe(true);
}

/** Time passes until a probe may go. */
function pass(): void {
  nowMs += breaker.waitMs;
}

describe('a closed circuit', () => {
  it('should open after ten failures in a row, and send nothing then', () => {
    calls('down', FAILURES_UNTIL_OPEN - 1);
    expect(breaker.isOpen).toBe(false);
    calls('down');
    expect([breaker.isOpen, breaker.enter()]).toEqual([true, null]);
    expect(breaker.waitMs).toBeGreaterThan(0);
  });

  it('should count anew after every answer', () => {
    for (let i = 0; i < 5; i += 1) {
      calls('down', FAILURES_UNTIL_OPEN - 1);
      calls('up');
    }
    expect(breaker.isOpen).toBe(false);
  });

  it('should not count calls that say nothing of the host, nor forget failures for them', () => {
    calls('unclear', 100);
    expect(breaker.isOpen).toBe(false);
    calls('down', FAILURES_UNTIL_OPEN - 1);
    calls('unclear', 3);
    calls('down');
    expect(breaker.isOpen).toBe(true);
  });

  it('should open by calls that are under way together, whose number has no bound', () => {
    const passes = Array.from({ length: 200 }, enter);
    passes.forEach((each) => breaker.leave(each, 'down'));
    expect(breaker.isOpen).toBe(true);
    expect(breaker.waitMs).toBeLessThanOrEqual(2_000);
  });

  it('should not wait', () => {
    expect([breaker.isOpen, breaker.waitMs]).toEqual([false, 0]);
  });
});

describe('an open circuit', () => {
  it('should let one call try when its pause is over, and no second one beside it', () => {
    open();
    nowMs += breaker.waitMs - 1;
    expect(breaker.enter()).toBeNull();
    nowMs += 1;
    expect(breaker.isOpen).toBe(true);
    expect(breaker.enter()).toEqual({ probes: true });
    expect([breaker.enter(), breaker.enter()]).toEqual([null, null]);
    nowMs += LONG_MS;
    expect(breaker.enter()).toBeNull();
  });

  it('should close for all when the probe is answered', () => {
    open();
    pass();
    calls('up');
    expect(breaker.isOpen).toBe(false);
    expect([enter(), enter()]).toEqual([{ probes: false }, { probes: false }]);
    calls('down', FAILURES_UNTIL_OPEN - 1);
    expect(breaker.isOpen).toBe(false);
  });

  it('should stay open, with longer pauses up to a bound, when probes fail, and begin anew after an answer', () => {
    open();
    const ceilings = [4, 8, 16, 30, 30, 30].map((seconds) => seconds * 1_000);
    for (const ceilingMs of ceilings) {
      pass();
      calls('down');
      expect(breaker.isOpen).toBe(true);
      expect(breaker.waitMs).toBeGreaterThanOrEqual(ceilingMs / 2);
      expect(breaker.waitMs).toBeLessThanOrEqual(ceilingMs);
    }
    pass();
    calls('up');
    open();
    expect(breaker.waitMs).toBeLessThanOrEqual(2_000);
  });

  it('should let the next call try at once when the probe said nothing of the host', () => {
    open();
    pass();
    calls('unclear');
    expect(breaker.isOpen).toBe(true);
    expect(breaker.enter()).toEqual({ probes: true });
  });
});

describe('a call that began before the circuit opened', () => {
  it('should not make the pause longer by failing while it is open', () => {
    const old = Array.from({ length: 50 }, enter);
    open();
    const untilMs = nowMs + breaker.waitMs;
    old.forEach((each) => breaker.leave(each, 'down'));
    expect(nowMs + breaker.waitMs).toBe(untilMs);
    pass();
    expect(breaker.enter()).toEqual({ probes: true });
  });

  it('should close it by an answer', () => {
    const old = enter();
    open();
    breaker.leave(old, 'up');
    expect(breaker.isOpen).toBe(false);
    expect(breaker.enter()).toEqual({ probes: false });
  });

  it('should not take the place of the probe by ending', () => {
    const [down, unclear] = [enter(), enter()];
    open();
    pass();
    enter();
    breaker.leave(down, 'down');
    breaker.leave(unclear, 'unclear');
    expect([breaker.isOpen, breaker.enter()]).toEqual([true, null]);
  });

  it('should close it while the probe is under way, and the probe may still end as it likes', () => {
    const old = enter();
    open();
    pass();
    const probe = enter();
    breaker.leave(old, 'up');
    expect(breaker.isOpen).toBe(false);
    breaker.leave(probe, 'up');
    expect([breaker.isOpen, enter()]).toEqual([false, { probes: false }]);
  });

  it('should not open it again alone when it fails after the circuit has closed', () => {
    const old = enter();
    open();
    pass();
    calls('up');
    breaker.leave(old, 'down');
    expect(breaker.isOpen).toBe(false);
  });

  it('should not let a probe open it again alone that fails after the circuit has closed', () => {
    const old = enter();
    open();
    pass();
    const probe = enter();
    breaker.leave(old, 'up');
    breaker.leave(probe, 'down');
    expect(breaker.isOpen).toBe(false);
  });
});

describe('what other replicas say', () => {
  it('should open it for as long as they say, and then let one call try', () => {
    breaker.openFor(5_000);
    expect([breaker.isOpen, breaker.waitMs, breaker.enter()]).toEqual([true, 5_000, null]);
    nowMs += 5_000;
    expect([breaker.enter(), breaker.enter()]).toEqual([{ probes: true }, null]);
  });

  it('should make a pause longer, and never shorter', () => {
    breaker.openFor(5_000);
    breaker.openFor(1_000);
    expect(breaker.waitMs).toBe(5_000);
    breaker.openFor(9_000);
    expect(breaker.waitMs).toBe(9_000);
  });

  it('should not be believed within two seconds of an answer of its own', () => {
    calls('up');
    nowMs += 1_999;
    breaker.openFor(5_000);
    expect(breaker.isOpen).toBe(false);
    nowMs += 1;
    breaker.openFor(5_000);
    expect(breaker.isOpen).toBe(true);
  });

  it('should close it, and leave its own pauses growing until it is answered itself', () => {
    for (const ceilingMs of [2_000, 4_000, 8_000]) {
      open();
      expect(breaker.waitMs).toBeGreaterThanOrEqual(ceilingMs / 2);
      breaker.close();
      expect([breaker.isOpen, breaker.waitMs]).toEqual([false, 0]);
    }
    calls('down', FAILURES_UNTIL_OPEN - 1);
    expect(breaker.isOpen).toBe(false);
    calls('up');
    open();
    expect(breaker.waitMs).toBeLessThanOrEqual(2_000);
  });

  it('should not be told again what they have said', () => {
    const told: (number | null)[] = [];
    breaker = new CircuitBreaker(
      (openForMs) => told.push(openForMs),
      () => nowMs,
    );
    breaker.openFor(5_000);
    breaker.close();
    expect(told).toEqual([]);
    breaker.openFor(5_000);
    pass();
    calls('up');
    expect(told).toEqual([null]);
  });
});
