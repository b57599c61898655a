import { cpuSecondsOf, cpuSecondsOfFamily } from '../support/cpu-time.js';
import { median, percentile, runLoad } from '../support/load.js';
import type { Contestant, ContestantName } from './contestants.js';

export interface Measurement {
  creates: number;
  createsASecond: number;
  p50Ms: number;
  p99Ms: number;
  /** CPU seconds per 1,000 creates, which is milliseconds a create; NaN where the system does not tell. */
  cpu: { server: number; postgres: number };
}

/** What a contestant did over the whole run, warm-up included. */
export interface Tally {
  created: number;
  /** Everything but 201, by status or error. */
  others: Map<string, number>;
}

export interface Rounds {
  /** With all connections busy: throughput. */
  busy: Map<ContestantName, Measurement[]>;
  /** One request at a time: what the way itself adds. */
  single: Map<ContestantName, Measurement[]>;
  tallies: Map<ContestantName, Tally>;
}

export interface Plan {
  connections: number;
  seconds: number;
  rounds: number;
}

const SINGLE_SECONDS = 2;
/** Whatever the length of a measurement: in its first seconds a Node server uses about twice the CPU for a create. */
const WARM_UP_SECONDS = 5;
/** The simulator alone is so fast that a full measurement would leave it with a million jobs, which all would then feel. */
const DIRECT_MAX_SECONDS = 2;

/** Warms every contestant up, then measures them in turns, so that a slow minute of the machine meets all of them. */
export async function runRounds(
  contestants: Contestant[],
  postgresPid: number,
  { connections, seconds, rounds }: Plan,
  log: (line: string) => void,
): Promise<Rounds> {
  const result: Rounds = { busy: new Map(), single: new Map(), tallies: new Map() };
  const measure = (contestant: Contestant, parallel: number, forSeconds: number) =>
    measureOnce(contestant, postgresPid, parallel, limitSeconds(contestant, forSeconds), result.tallies);
  for (const contestant of contestants) {
    log(`warming up: ${contestant.label}`);
    await measure(contestant, connections, WARM_UP_SECONDS);
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const contestant of contestants) {
      const busy = await measure(contestant, connections, seconds);
      const single = await measure(contestant, 1, SINGLE_SECONDS);
      log(`round ${round} of ${rounds}: ${contestant.label}, ${busy.createsASecond.toFixed(0)} creates a second`);
      append(result.busy, contestant.name, busy);
      append(result.single, contestant.name, single);
    }
  }
  return result;
}

/** The medians of the rounds, figure by figure. */
export function summarize(rounds: Measurement[]): Measurement {
  const of = (read: (measurement: Measurement) => number) => median(rounds.map(read));
  return {
    creates: of((m) => m.creates),
    createsASecond: of((m) => m.createsASecond),
    p50Ms: of((m) => m.p50Ms),
    p99Ms: of((m) => m.p99Ms),
    cpu: { server: of((m) => m.cpu.server), postgres: of((m) => m.cpu.postgres) },
  };
}

/** Throughput ratios round by round: neighbours in time, so that most of the machine's moods cancel out. */
export function ratios(of: Measurement[], to: Measurement[]): number[] {
  return of.map((measurement, round) => measurement.createsASecond / (to[round]?.createsASecond ?? Number.NaN));
}

async function measureOnce(
  { name, process, target }: Contestant,
  postgresPid: number,
  connections: number,
  seconds: number,
  tallies: Map<ContestantName, Tally>,
): Promise<Measurement> {
  const before = readCpu(process.pid, postgresPid);
  const load = await runLoad(target, connections, seconds);
  const after = readCpu(process.pid, postgresPid);
  const creates = load.outcomes.get('201') ?? 0;
  const tally = tallies.get(name) ?? { created: 0, others: new Map<string, number>() };
  tally.created += creates;
  for (const [outcome, count] of load.outcomes) {
    if (outcome !== '201') tally.others.set(outcome, (tally.others.get(outcome) ?? 0) + count);
  }
  tallies.set(name, tally);
  const perThousand = (from: number, to: number) => ((to - from) / creates) * 1_000;
  return {
    creates,
    createsASecond: creates / load.seconds,
    p50Ms: percentile(load.latenciesMs, 0.5),
    p99Ms: percentile(load.latenciesMs, 0.99),
    cpu: {
      server: perThousand(before.server, after.server),
      postgres: perThousand(before.postgres, after.postgres),
    },
  };
}

function limitSeconds({ name }: Contestant, seconds: number): number {
  return name === 'simulator' ? Math.min(seconds, DIRECT_MAX_SECONDS) : seconds;
}

function readCpu(serverPid: number, postgresPid: number): { server: number; postgres: number } {
  return {
    server: cpuSecondsOf(serverPid) ?? Number.NaN,
    postgres: cpuSecondsOfFamily(postgresPid) ?? Number.NaN,
  };
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}
