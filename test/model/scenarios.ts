import fc from 'fast-check';
import type { ReadFault } from './account-look-model.js';
import { TIMING } from './protocol.js';
import { REQUEST_NAMES } from './requests.js';
import type { StartedStyle } from './tensorpix-model.js';
import type { Plan, Scenario, Step } from './world.js';

const started = fc.constantFrom<StartedStyle>('made', 'begun', 'never');
const which = fc.nat(2);
const request = fc.oneof(
  { weight: 5, arbitrary: fc.constant('plain' as const) },
  { weight: 4, arbitrary: fc.constantFrom(...REQUEST_NAMES) },
);

/** Moments at which something turns over: at once, in the middle, around the timeout, just before the grace is over. */
const madeAfterMs = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.constantFrom(3_000, 30_000, 59_000, 65_000, 119_000) },
  { weight: 2, arbitrary: fc.constant(null) },
);

const anyAnswer = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Plan['answer']>('lost', 'reset') },
  { weight: 2, arbitrary: fc.constantFrom<Plan['answer']>('given', 'refused') },
);

const fault = fc.oneof(
  { weight: 4, arbitrary: fc.constant<ReadFault>('none') },
  { weight: 2, arbitrary: fc.constant<ReadFault>('cut') },
  { weight: 1, arbitrary: fc.constant<ReadFault>('failed') },
);

const waitMs = fc.constantFrom(1_000, 5_000, 15_000, 60_000, 70_000, 120_000);

function stepsOf(plan: fc.Arbitrary<Plan>): fc.Arbitrary<Step> {
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('accept' as const),
        request,
        strict: fc.nat(4).map((of5) => of5 === 4),
        call: fc.option(plan, { freq: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wake' as const), which, call: plan }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('submit' as const), call: fc.option(plan, { freq: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('retry' as const), call: plan }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('look' as const),
        answers: fc.constantFrom(20, 20, 20, 1, 2, 3),
        fault,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('poll' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('giveUp' as const), which }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('foreign' as const), request, started }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('leave' as const),
        which,
        as: fc.constantFrom('finished' as const, 'failed' as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('lapse' as const),
        shows: fc.constantFrom('nothing' as const, 'past' as const),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lag' as const) }) },
    { weight: 7, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: waitMs }) },
  );
}

/** Moves that a scenario may do without; without some of them the others meet more often. */
const OPTIONAL = ['wake', 'crash', 'submit', 'retry', 'poll', 'giveUp', 'foreign', 'leave', 'lapse', 'lag'] as const;

export type OptionalMove = (typeof OPTIONAL)[number];

const weather = fc.record({
  clockOffsetMs: fc.constantFrom(0, -183_400, 95_700),
  answerMs: fc.constantFrom(0, 1_500),
  servesVideos: fc.boolean(),
  graceMs: fc.constantFrom(TIMING.graceMs, TIMING.graceMs, 8_000),
});

/** What a search is limited to. */
export interface Focus {
  /** those of the optional moves that are of interest */
  moves?: readonly OptionalMove[];
}

/** Any clock of TensorPix's and any order of moves. */
export function scenarios({ moves = OPTIONAL }: Focus = {}): fc.Arbitrary<Scenario> {
  const step = stepsOf(fc.record({ madeAfterMs, started, answer: anyAnswer, stalls: fc.boolean() }));
  const given = { weather, kept: fc.subarray([...moves]), alike: fc.boolean() };
  return fc
    .record({ ...given, steps: fc.array(step, { maxLength: 32, size: 'max' }) })
    .map(({ weather, kept, alike, steps }) => ({
      weather,
      steps: steps.filter((step) => isKept(step, kept)).map((step) => (alike ? asPlain(step) : step)),
    }));
}

function isKept({ do: kind }: Step, kept: readonly Step['do'][]): boolean {
  return kept.includes(kind) || !(OPTIONAL as readonly Step['do'][]).includes(kind);
}

function asPlain(step: Step): Step {
  return 'request' in step ? { ...step, request: 'plain' } : step;
}
