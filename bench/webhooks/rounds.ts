import type { ContestantName } from './contestants.js';
import type { Entrant } from './line-up.js';
import { measureBacklog, measureLight, type BacklogFigures, type LightFigures } from './measurement.js';
import type { Receiver } from './receiver.js';
import { SCENARIOS, type Scenario, type ScenarioName } from './settings.js';
import type { Tally } from './verification.js';

export interface Plan {
  /** of each backlog */
  deliveries: number;
  rounds: number;
}

type ByContestant<Value> = Map<ContestantName, Value[]>;

export interface Rounds {
  backlog: Record<ScenarioName, ByContestant<BacklogFigures>>;
  light: ByContestant<LightFigures>;
  /** Of all measurements, warm-up included. */
  tallies: ByContestant<Tally>;
}

/** Warms everybody up, then measures in turns, so that a slow minute of the machine meets all of them. */
export async function runRounds(
  entrants: Entrant[],
  receiver: Receiver,
  { deliveries, rounds }: Plan,
  log: (line: string) => void,
): Promise<Rounds> {
  const result: Rounds = {
    backlog: { fast: new Map(), slow: new Map(), dead: new Map() },
    light: new Map(),
    tallies: new Map(),
  };
  const backlog = async (entrant: Entrant, scenario: Scenario): Promise<BacklogFigures> => {
    const { figures, tally } = await measureBacklog(entrant, receiver, scenario, deliveries);
    append(result.tallies, entrant.contestant.name, tally);
    return figures;
  };
  for (const entrant of entrants) {
    log(`warming up: ${entrant.contestant.label}`);
    await backlog(entrant, SCENARIOS[0]!);
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const scenario of SCENARIOS) {
      for (const entrant of entrants) {
        const figures = await backlog(entrant, scenario);
        append(result.backlog[scenario.name], entrant.contestant.name, figures);
        const { label } = entrant.contestant;
        log(`round ${round} of ${rounds}, ${scenario.name}: ${label}, ${figures.perSecond.toFixed(0)} a second`);
      }
    }
    for (const entrant of entrants) {
      const { figures, tally } = await measureLight(entrant, receiver, deliveries);
      append(result.tallies, entrant.contestant.name, tally);
      append(result.light, entrant.contestant.name, figures);
      log(`round ${round} of ${rounds}, light: ${entrant.contestant.label}, p50 ${figures.p50Ms.toFixed(1)} ms`);
    }
  }
  return result;
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}
