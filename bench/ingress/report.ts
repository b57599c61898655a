import * as os from 'node:os';
import { median } from '../support/load.js';
import type { Contestant, ContestantName } from './contestants.js';
import { ratios, summarize, type Measurement, type Plan, type Rounds } from './measurement.js';
import type { Check } from './verification.js';

/** What the project wants of itself: see docs/benchmarks.md. */
const AIMS = { toProxy: 0.6, toObvious: 4, transactions: 2 };

/** The whole report as text. */
export function formatReport(
  contestants: Contestant[],
  plan: Plan,
  rounds: Rounds,
  transactionsACreate: number,
  checks: Check[],
): string {
  return [
    `${plan.rounds} rounds of ${plan.seconds} s, medians. ${machine()}`,
    '',
    `${plan.connections} connections, each with a request under way (latency is mostly queueing):`,
    formatTable(contestants, rounds.busy),
    '',
    'One request at a time:',
    formatTable(contestants, rounds.single),
    '',
    ...formatAims(rounds.busy, transactionsACreate),
    '',
    ...checks.map(({ text, holds }) => `${holds ? 'right' : 'WRONG'}  ${text}`),
  ].join('\n');
}

function formatTable(contestants: Contestant[], rounds: Map<ContestantName, Measurement[]>): string {
  const direct = summarize(rounds.get('simulator') ?? []);
  const rows = contestants.map(({ name, label }) => {
    const { createsASecond, p50Ms, p99Ms, cpu } = summarize(rounds.get(name) ?? []);
    const isDirect = name === 'simulator';
    return [
      label,
      createsASecond.toFixed(0),
      milliseconds(p50Ms),
      milliseconds(p99Ms),
      isDirect ? '' : signed(p50Ms - direct.p50Ms),
      isDirect ? '' : signed(p99Ms - direct.p99Ms),
      figure(cpu.server),
      isDirect || name === 'proxy' ? '' : figure(cpu.postgres),
    ];
  });
  const heads = ['', 'creates/s', 'p50 ms', 'p99 ms', '+p50', '+p99', 'server CPU', 'Postgres CPU'];
  return `${align([heads, ...rows])}\n(+ is over the simulator directly; CPU in seconds per 1,000 creates)`;
}

function align(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

function formatAims(busy: Map<ContestantName, Measurement[]>, transactionsACreate: number): string[] {
  const gateway = busy.get('gateway') ?? [];
  const toProxy = ratios(gateway, busy.get('proxy') ?? []);
  const toObvious = ratios(gateway, busy.get('obvious') ?? []);
  return [
    `gateway / (b)          ${spread(toProxy)}  aim at least ${AIMS.toProxy}: ${met(median(toProxy) >= AIMS.toProxy)}`,
    `gateway / (c)          ${spread(toObvious)}  aim at least ${AIMS.toObvious}: ${met(median(toObvious) >= AIMS.toObvious)}`,
    `transactions a create  ${transactionsACreate.toFixed(2)}  ` +
      `aim at most ${AIMS.transactions}: ${met(transactionsACreate <= AIMS.transactions)}`,
  ];
}

function spread(values: number[]): string {
  return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
}

function met(holds: boolean): string {
  return holds ? 'met' : 'NOT met';
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${milliseconds(value)}`;
}

function milliseconds(value: number): string {
  return value.toFixed(Math.abs(value) < 1 ? 2 : 1);
}

function figure(value: number): string {
  return Number.isNaN(value) ? 'n/a' : value.toFixed(2);
}

function machine(): string {
  const cpus = os.cpus();
  return `${cpus.length} cores (${cpus[0]?.model.trim() ?? 'unknown'}), Node ${process.versions.node}, ${os.platform()}.`;
}
