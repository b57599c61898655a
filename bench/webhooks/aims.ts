import { median } from '../support/load.js';
import { formatMs, formatSpread } from '../support/report-text.js';
import type { ContestantName } from './contestants.js';
import { summarize, type BacklogFigures } from './measurement.js';
import type { Rounds } from './rounds.js';

/** What the project wants of itself: see docs/benchmarks.md. */
const AIMS = { toCeiling: 0.7, toBestQueue: 1.6, deadToFast: 2, lightP95Ms: 5, lightP99OverBareMs: 25 };

const QUEUES: readonly ContestantName[] = ['graphile-worker', 'pg-boss', 'bullmq'];

/** How the gateway stands to the others; nothing where it, or who it is compared with, was not measured. */
export function formatAims({ backlog, light }: Rounds): string[] {
  const gateway = backlog.fast.get('gateway');
  if (!gateway) return [];
  const lines: string[] = [];
  const ceiling = backlog.fast.get('ceiling');
  if (ceiling) lines.push(atLeast('gateway / (a)', ratios(gateway, ceiling), AIMS.toCeiling));
  const plain = backlog.fast.get('plain-store');
  if (ceiling && plain)
    lines.push(`(a+) / (a)  ${formatSpread(ratios(plain, ceiling))}  what is left once webhooks are rows`);
  if (plain) lines.push(`gateway / (a+)  ${formatSpread(ratios(gateway, plain))}`);
  const queues = QUEUES.map((name) => backlog.fast.get(name)).filter((rounds) => rounds !== undefined);
  if (queues.length > 0)
    lines.push(atLeast('gateway / best of the queues', ratiosToBest(gateway, queues), AIMS.toBestQueue));
  const isolation = deadToFast(backlog, 'gateway');
  lines.push(
    `p99 with a dead receiver / without  ${formatSpread(isolation)}  ` +
      `aim at most ${AIMS.deadToFast}: ${met(median(isolation) <= AIMS.deadToFast)}`,
  );
  const lightGateway = summarize(light.get('gateway') ?? []);
  const { p95Ms } = lightGateway;
  lines.push(
    `light load, p95  ${formatMs(p95Ms)} ms  aim at most ${AIMS.lightP95Ms} ms: ${met(p95Ms <= AIMS.lightP95Ms)}`,
  );
  const bare = light.get('ceiling');
  if (bare) {
    const overMs = lightGateway.p99Ms - summarize(bare).p99Ms;
    const aim = `aim at most ${AIMS.lightP99OverBareMs} ms: ${met(overMs <= AIMS.lightP99OverBareMs)}`;
    lines.push(`light load, p99 over a bare POST  ${formatMs(overMs)} ms  ${aim}`);
  }
  return lines;
}

/** Throughput round by round: neighbours in time, so that most of the machine's moods cancel out. */
export function ratios(of: BacklogFigures[], to: BacklogFigures[]): number[] {
  return of.map(({ perSecond }, round) => perSecond / (to[round]?.perSecond ?? Number.NaN));
}

/** How much longer the slowest hundredth of deliveries to healthy receivers take beside a dead one, round by round. */
export function deadToFast(backlog: Rounds['backlog'], name: ContestantName): number[] {
  const fast = backlog.fast.get(name) ?? [];
  return (backlog.dead.get(name) ?? []).map(({ p99Ms }, round) => p99Ms / (fast[round]?.p99Ms ?? Number.NaN));
}

function ratiosToBest(of: BacklogFigures[], queues: BacklogFigures[][]): number[] {
  return of.map(({ perSecond }, round) => perSecond / Math.max(...queues.map((rounds) => rounds[round]!.perSecond)));
}

function atLeast(text: string, values: number[], aim: number): string {
  return `${text}  ${formatSpread(values)}  aim at least ${aim}: ${met(median(values) >= aim)}`;
}

function met(holds: boolean): string {
  return holds ? 'met' : 'NOT met';
}
