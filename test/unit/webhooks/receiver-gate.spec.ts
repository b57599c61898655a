import { describe, expect, it } from '@jest/globals';
import {
  CONNECTIONS_AN_ORIGIN,
  PLACES,
  ReceiverGate,
  type Lane,
  type Visit,
} from '../../../src/modules/webhooks/receiver-gate.js';

const TENANT = 'tenant';
const MOST_STRAGGLERS = 1_024;
const ALL_FREE = { proven: PLACES.proven.all, new: PLACES.new.all, penalised: PLACES.penalised.all };

class Clock {
  ms = 0;
  readonly now = (): number => this.ms;
}

function stage(): {
  gate: ReceiverGate;
  clock: Clock;
  answer: (origin: string, tookMs: number, times?: number) => void;
} {
  const clock = new Clock();
  const gate = new ReceiverGate(clock.now);
  const answer = (origin: string, tookMs: number, times = 1): void => {
    for (let i = 0; i < times; i += 1) {
      const visit = gate.enter(TENANT, origin);
      clock.ms += tookMs;
      gate.leave(visit, true);
    }
  };
  return { gate, clock, answer };
}

function laneOf(gate: ReceiverGate, origin: string): Lane {
  return gate.places().origins[origin]?.tenants[TENANT]?.lane ?? 'new';
}

function freeOf(gate: ReceiverGate, origin: string): number | undefined {
  return gate.places().origins[origin]?.tenants[TENANT]?.free;
}

describe('ReceiverGate', () => {
  it('should give few places to a receiver that nothing is known of', () => {
    const { gate } = stage();
    expect(gate.places()).toMatchObject({ origins: {}, newFree: PLACES.new.each });
    gate.enter(TENANT, 'a');
    expect(freeOf(gate, 'a')).toBe(PLACES.new.each - 1);
    expect(gate.places().lanes).toEqual({
      proven: PLACES.proven.all,
      new: PLACES.new.all - 1,
      penalised: PLACES.penalised.all,
    });
  });

  it('should give many to one that answers quickly, errors included', () => {
    const { gate, answer } = stage();
    answer('a', 50);
    expect(laneOf(gate, 'a')).toBe('proven');
    expect(freeOf(gate, 'a')).toBe(PLACES.proven.each);
  });

  it('should give next to none to one that is slow, until it is quick again', () => {
    const { gate, answer } = stage();
    answer('a', 15_000);
    expect(laneOf(gate, 'a')).toBe('penalised');
    expect(freeOf(gate, 'a')).toBe(PLACES.penalised.each);
    answer('a', 10, 20);
    expect(laneOf(gate, 'a')).toBe('proven');
  });

  it('should bear one slow answer among many quick ones', () => {
    const { gate, answer } = stage();
    answer('a', 50, 10);
    answer('a', 2_000);
    expect(laneOf(gate, 'a')).toBe('proven');
  });

  it('should tell apart tenants of one origin, and share its connections among them', () => {
    const { gate, clock } = stage();
    const hanging = [gate.enter('hangs', 'a'), gate.enter('hangs', 'a')];
    gate.leave(gate.enter('quick', 'a'), true);
    clock.ms += 15_000;
    expect(gate.places().origins.a).toEqual({
      free: CONNECTIONS_AN_ORIGIN - hanging.length,
      tenants: { hangs: { lane: 'penalised', free: 0 }, quick: { lane: 'proven', free: PLACES.proven.each } },
    });
    for (const visit of hanging) gate.leave(visit, true);
    expect(gate.places().origins.a?.free).toBe(CONNECTIONS_AN_ORIGIN);
  });

  it('should free the places of those who let us wait before their attempts are over', () => {
    const { gate, clock } = stage();
    const visits = Array.from({ length: PLACES.new.all }, (_, i) => gate.enter(TENANT, `dead-${i}`));
    expect(gate.places().lanes.new).toBe(0);
    clock.ms += 1_000;
    // Not even those of the others who let us wait, whose attempts are made two by two.
    expect(gate.places()).toMatchObject({ lanes: ALL_FREE, tenants: {} });
    expect(laneOf(gate, 'dead-0')).toBe('penalised');
    clock.ms += 14_000;
    for (const visit of visits) gate.leave(visit, true);
    expect(gate.places().lanes).toEqual(ALL_FREE);
  });

  it('should bound the attempts that have left their places: with more, slow ones keep them', () => {
    const { gate, clock } = stage();
    const visits = Array.from({ length: MOST_STRAGGLERS + 1 }, (_, i) => gate.enter(`tenant-${i}`, `dead-${i}`));
    clock.ms += 1_000;
    expect(gate.places().lanes).toMatchObject({ new: PLACES.new.all - 1, penalised: PLACES.penalised.all });
    gate.leave(visits[0] as Visit, true);
    expect(gate.places().lanes.new).toBe(PLACES.new.all);
  });

  it('should give no tenant all places of a lane, nor all connections to an origin', () => {
    const { gate, clock } = stage();
    for (let i = 0; i < PLACES.new.tenant; i += 1) gate.enter(TENANT, `new-${i}`);
    gate.enter('another', 'new-0');
    expect(gate.places().tenants).toEqual({
      [TENANT]: { proven: PLACES.proven.tenant, new: 0, penalised: PLACES.penalised.tenant },
      another: { proven: PLACES.proven.tenant, new: PLACES.new.tenant - 1, penalised: PLACES.penalised.tenant },
    });
    clock.ms += 1_000;
    expect(gate.places().tenants).toEqual({});
    for (const { all, tenant } of Object.values(PLACES)) expect(tenant).toBeLessThan(all);
    expect(PLACES.proven.each).toBeLessThan(CONNECTIONS_AN_ORIGIN);
  });

  it('should learn nothing from a claim that was put back', () => {
    const { gate, clock } = stage();
    const visit = gate.enter(TENANT, 'a');
    clock.ms += 900;
    gate.leave(visit, false);
    expect(laneOf(gate, 'a')).toBe('new');
    expect(freeOf(gate, 'a')).toBe(PLACES.new.each);
    expect(gate.places().lanes.new).toBe(PLACES.new.all);
  });

  it('should forget whoever was not called for long, and keep a bounded number of receivers', () => {
    const { gate, clock, answer } = stage();
    answer('a', 15_000);
    clock.ms += 600_001;
    expect(gate.places().origins).toEqual({});
    answer('slow', 15_000);
    for (let i = 0; i < 1_500; i += 1) answer(`many-${i}`, 1);
    answer('many-600', 1);
    const known = Object.keys(gate.places().origins);
    expect(known).toHaveLength(1_000);
    // Whoever lets us wait is forgotten first, then whoever was used least recently.
    expect(known).not.toContain('slow');
    expect(known).toContain('many-600');
    expect(known).not.toContain('many-400');
  });

  it('should never lose count of the places', () => {
    const { gate, clock } = stage();
    const open: Visit[] = [];
    for (let step = 0; step < 5_000; step += 1) {
      const random = (step * 7_919) % 101;
      if (random < 60) open.push(gate.enter(TENANT, `origin-${random % 7}`));
      else if (open.length > 0) gate.leave(open.splice(random % open.length, 1)[0] as Visit, random % 2 === 0);
      clock.ms += random * 10;
      if (random % 5 === 0) gate.places();
    }
    for (const visit of open) gate.leave(visit, true);
    const { lanes, origins } = gate.places();
    expect(lanes).toEqual(ALL_FREE);
    expect(gate.places().tenants).toEqual({});
    for (const { free, tenants } of Object.values(origins)) {
      expect(free).toBe(CONNECTIONS_AN_ORIGIN);
      for (const tenant of Object.values(tenants)) expect(tenant.free).toBe(PLACES[tenant.lane].each);
    }
  });
});
