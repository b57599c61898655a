import { TIMING } from './protocol.js';
import type { Plan, Scenario, Step } from './world.js';

const WEATHER = { clockOffsetMs: 0, answerMs: 0, servesVideos: true, graceMs: TIMING.graceMs };
const LOST: Plan = { madeAfterMs: 0, started: 'made', answer: 'lost', stalls: false };
const WHOLE_LOOK: Step = { do: 'look', answers: 20, fault: 'none' };

/** Found by no short search: it needs a second call within the few seconds that a lease has beyond its call. */
export const LATE_EQUAL = 'an equal call begins late and is given the job of the first';

/** Found by long searches: one or two scenarios in a hundred thousand. */
export const LATE_REFUSAL = 'a sender that has lost its claim is refused what another has sent meanwhile';
export const LAGGING_LIST = 'the list does not show the newest job yet';

/** Scenarios that are easily got wrong, and that a short search may miss. */
export const TRAPS: Record<string, Scenario> = {
  // Given to the earlier row, the job without a time leaves the later one with a job that was there before its call.
  'of two equal jobs the later one does not say when it was started': {
    weather: WEATHER,
    steps: [accept('plain', { ...LOST, stalls: true }), wait(60_000), accept('plain', { ...LOST, started: 'never' })],
  },
  // Both looks can read the list within one moment, although they began far apart.
  'a clean look took long and the list was empty when it ended': {
    weather: WEATHER,
    steps: [
      accept('plain', { ...LOST, answer: 'reset', madeAfterMs: 3_000 }),
      wait(120_000),
      { do: 'leave', which: 0, as: 'failed' },
      { do: 'look', answers: 1, fault: 'none' },
      wait(70_000),
      { do: 'lapse', shows: 'nothing' },
      WHOLE_LOOK,
      WHOLE_LOOK,
    ],
  },
  // The row that was in flight when the look began, and is unknown when it ends, was not read with the others.
  'a call of the same key becomes unknown during a look': {
    weather: WEATHER,
    steps: [
      accept('plain', { ...LOST, madeAfterMs: null }),
      accept('twin', { ...LOST, stalls: true }),
      wait(120_000),
      { do: 'look', answers: 1, fault: 'none' },
      { do: 'wake', which: 0, call: LOST },
      WHOLE_LOOK,
    ],
  },
  // The second call begins up to the margin of its lease after the first has become unknown, and takes its job.
  [LATE_EQUAL]: {
    weather: { ...WEATHER, graceMs: 8_000 },
    steps: [
      accept('plain', { ...LOST, madeAfterMs: 59_000 }),
      wait(59_500),
      accept('plain', null),
      wait(8_000),
      { do: 'wake', which: 0, call: { ...LOST, answer: 'reset', madeAfterMs: 67_000 } },
      WHOLE_LOOK,
      wait(61_000),
      WHOLE_LOOK,
      wait(2_500),
      WHOLE_LOOK,
      wait(500),
    ],
  },
  // The refusal parks a row that somebody else is sending by then.
  [LATE_REFUSAL]: {
    weather: WEATHER,
    steps: [
      accept('plain', { ...LOST, answer: 'refused', stalls: true }),
      wait(70_000),
      { do: 'submit', call: null },
      wait(120_000),
      WHOLE_LOOK,
      wait(120_000),
      WHOLE_LOOK,
      { do: 'submit', call: LOST },
    ],
  },
  // Two looks at a list that lags behind show neither the job that is followed nor the one that is looked for.
  [LAGGING_LIST]: {
    weather: { ...WEATHER, servesVideos: false },
    steps: [
      { do: 'lag' },
      accept('plain', { ...LOST, answer: 'given' }),
      accept('plain', { ...LOST, answer: 'reset' }),
      wait(120_000),
      WHOLE_LOOK,
      wait(60_000),
      { do: 'look', answers: 20, fault: 'cut' },
    ],
  },
};

function accept(request: 'plain' | 'twin', call: Plan | null): Step {
  return { do: 'accept', request, strict: false, call };
}

function wait(ms: number): Step {
  return { do: 'wait', ms };
}
