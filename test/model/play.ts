import fc from 'fast-check';
import type { Protocol } from './protocol.js';
import { Violation, Watch } from './properties.js';
import { scenarios, type Focus } from './scenarios.js';
import { World, type Plan, type Scenario, type Step } from './world.js';

/** What a search has come to. */
export interface Search {
  /** scenarios played until the first violation, or all of them */
  played: number;
  violation: string | null;
  /** the shortest way to it that was found */
  scenario: string;
}

export interface SearchOptions {
  runs: number;
  seed: number;
  /** the violations that count; all of them when absent */
  of?: RegExp;
  focus?: Focus;
}

/** Plays scenarios against a protocol until one breaks a promise, and makes that one short. */
export function search(protocol: Protocol, { runs, seed, of = /^/, focus }: SearchOptions): Search {
  const property = fc.property(scenarios(focus), (scenario) => {
    const violation = play(scenario, protocol);
    if (violation && of.test(violation.message)) throw violation;
  });
  const { failed, numRuns, counterexample, errorInstance } = fc.check(property, { numRuns: runs, seed });
  if (!failed) return { played: numRuns, violation: null, scenario: '' };
  if (!(errorInstance instanceof Violation)) throw errorInstance;
  const [scenario] = counterexample ?? [];
  return { played: numRuns, violation: errorInstance.message, scenario: scenario ? describeScenario(scenario) : '' };
}

/** @returns the first promise that is broken, if any */
export function play({ weather, steps }: Scenario, protocol: Protocol): Violation | null {
  const world = new World(protocol, weather);
  const watch = new Watch(world);
  try {
    for (const step of steps) {
      world.take(step);
      watch.always();
    }
    world.calmDown(() => watch.always());
    watch.finally();
    return null;
  } catch (error) {
    if (error instanceof Violation) return error;
    throw error;
  }
}

/** One line: the moves, and of the weather what is not plain. */
function describeScenario({ weather, steps }: Scenario): string {
  const odd = [
    weather.clockOffsetMs !== 0 && `clock ${weather.clockOffsetMs / 1_000} s off`,
    weather.answerMs !== 0 && `answers take ${weather.answerMs / 1_000} s`,
  ].filter((text) => text !== false);
  return [...odd, ...steps.map(describeStep)].join('; ');
}

function describeStep(step: Step): string {
  switch (step.do) {
    case 'accept':
      return `accept ${step.request}${step.strict ? ' (strict)' : ''}: ${describePlan(step.call)}`;
    case 'wake':
    case 'retry':
    case 'submit':
      return `${step.do}: ${describePlan(step.call)}`;
    case 'wait':
      return `${step.ms / 1_000} s`;
    case 'look':
      return `look${step.answers < 20 ? ` (${step.answers} answers)` : ''}${step.fault === 'none' ? '' : `, ${step.fault}`}`;
    case 'foreign':
      return `foreign ${step.request}`;
    case 'giveUp':
      return 'a person gives up';
    case 'leave':
      return `a job leaves, ${step.as}`;
    case 'lapse':
      return `the list shows ${step.shows}`;
    case 'crash':
    case 'poll':
    case 'lag':
      return step.do;
  }
}

function describePlan(plan: Plan | null): string {
  if (!plan) return 'stops before the call';
  const { madeAfterMs, answer, started, stalls } = plan;
  const dated = started === 'made' ? '' : started === 'begun' ? ' (dated late)' : ' (undated)';
  const made = madeAfterMs === null || answer === 'refused' ? 'no job' : `job after ${madeAfterMs / 1_000} s${dated}`;
  return `${answer}, ${made}${stalls ? ', stalls' : ''}`;
}
