import { afterAll, describe, expect, it } from '@jest/globals';
import { play, search, type SearchOptions } from './play.js';
import { PROTOCOL, weakenedProtocols } from './protocol.js';
import { LAGGING_LIST, LATE_EQUAL, LATE_REFUSAL, TRAPS } from './traps.js';

/**
 * The submission protocol against a model of TensorPix, over any order of calls, answers, crashes, looks and moments of the
 * clock. `judge`, `decide`, `settle` and `verdictChange` are the production code's own.
 *
 * MODEL_RUNS: scenarios for the whole protocol (default 12000); MODEL_SEED: where the search begins (default 1).
 */
const RUNS = Number(process.env.MODEL_RUNS ?? 12_000);
const SEED = Number(process.env.MODEL_SEED ?? 1);
/** The search for what a removal does ends with the first find. */
const RUNS_A_GUARD = Math.max(200_000, RUNS);

/** Generous: a scenario takes a fraction of a millisecond. */
const TIMEOUT_MS = 60_000 + RUNS;

const DOUBLE = /^double charge/;
const WRONG = /^wrong adoption/;

type Removal = Pick<SearchOptions, 'of' | 'focus'> & {
  /** of TRAPS, where no search is needed */
  scenario?: keyof typeof TRAPS;
};

/** What removing a guard leads to, and where to look for it if it is rare. */
const REMOVALS: Record<string, Removal> = {
  startedBeforeCall: { of: /started before the call/ },
  seenBeforeCall: { of: /seen before the call/ },
  otherUrl: { of: WRONG },
  otherModels: { of: WRONG },
  otherFields: { of: WRONG },
  complete: { of: DOUBLE, focus: { moves: ['submit'] } },
  searchedBeyond: { of: DOUBLE, focus: { moves: ['submit', 'leave'] } },
  holdsNewest: { of: DOUBLE, scenario: LAGGING_LIST },
  lateEnough: { of: DOUBLE, focus: { moves: ['submit'] } },
  apart: { of: DOUBLE, focus: { moves: ['lapse', 'submit'] } },
  cleanLooks: { of: DOUBLE, focus: { moves: ['lapse', 'submit'] } },
  waitsForCallsInFlight: { of: WRONG },
  intentFirst: { of: DOUBLE },
  unknownWaits: { of: DOUBLE },
  parksEquals: { of: DOUBLE },
  seesNewlyUnknown: { of: WRONG },
  waitsForEquals: { of: DOUBLE, scenario: LATE_EQUAL },
  heedsGivenUp: { of: WRONG, focus: { moves: ['giveUp', 'submit'] } },
  checksLease: { of: DOUBLE, focus: { moves: ['submit', 'wake'] } },
  fencesDecisions: { of: DOUBLE, scenario: LATE_REFUSAL },
  lateIdsBind: { of: /told and lost/ },
  uniqueIds: { of: /two rows own one job/ },
  strictIsFinal: { of: /strict request was sent again/ },
};

describe('the submission protocol', () => {
  const lines: string[] = [];
  afterAll(() => void process.stdout.write(`\n${lines.join('\n')}\n`));

  it(
    'should charge each request once, adopt nothing foreign and leave nothing stuck',
    () => {
      const { played, violation, scenario } = search(PROTOCOL, { runs: RUNS, seed: SEED });
      lines.push(`all guards (seed ${SEED}): ${played} scenarios, ${violation ?? 'no violation'}`);
      expect({ violation, scenario }).toEqual({ violation: null, scenario: '' });
    },
    TIMEOUT_MS,
  );

  it.each(Object.entries(TRAPS))('should hold when %s', (_, scenario) => {
    expect(play(scenario, PROTOCOL)?.message).toBeUndefined();
  });

  it('should name what each guard prevents', () => {
    expect(Object.keys(REMOVALS).sort()).toEqual([...weakenedProtocols().keys()].sort());
  });

  it.each([...weakenedProtocols()])(
    'should not hold without %s',
    (name, protocol) => {
      const removal = REMOVALS[name];
      const trap = removal?.scenario && TRAPS[removal.scenario];
      const { played, violation, scenario } = trap
        ? { played: 1, violation: play(trap, protocol)?.message ?? null, scenario: removal.scenario }
        : search(protocol, { ...removal, runs: RUNS_A_GUARD, seed: SEED });
      lines.push(`without ${name}: ${violation ?? 'nothing'} (${played} scenarios) — ${scenario}`);
      expect(violation).toMatch(removal?.of ?? /^$/);
    },
    TIMEOUT_MS,
  );
});
