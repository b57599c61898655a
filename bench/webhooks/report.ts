import { median } from '../support/load.js';
import { alignTable, describeMachine, formatFigure, formatMs, formatSignedMs } from '../support/report-text.js';
import { deadToFast, formatAims, ratios } from './aims.js';
import type { Entrant, LineUp } from './line-up.js';
import { summarize } from './measurement.js';
import type { Plan, Rounds } from './rounds.js';
import { ATTEMPT_TIMEOUT_MS, IN_FLIGHT, LIGHT_PER_SECOND, SCENARIOS, type Scenario } from './settings.js';
import type { Check } from './verification.js';

/** The whole report as text. */
export function formatReport({ entrants, leftOut }: LineUp, plan: Plan, rounds: Rounds, checks: Check[]): string {
  const backlogs = SCENARIOS.flatMap((scenario) => [
    `${scenario.label}:`,
    formatBacklog(entrants, scenario, rounds),
    '',
  ]);
  const aims = formatAims(rounds);
  return [
    `${plan.rounds} rounds of ${plan.deliveries} deliveries, medians. ${describeMachine()}`,
    `${IN_FLIGHT} attempts under way at once, given up after ${ATTEMPT_TIMEOUT_MS / 1_000} s.`,
    '',
    ...backlogs,
    '(latency is from the start, when all are due, and of healthy receivers as is deliveries/s; CPU in seconds per 1,000)',
    '',
    `Light load, ${LIGHT_PER_SECOND} a second, from commit to receipt:`,
    formatLight(entrants, rounds),
    '',
    ...aims,
    ...(aims.length > 0 ? [''] : []),
    ...leftOut.map(({ name, reason }) => `left out: ${name} (${reason})`),
    ...checks.map(({ text, holds }) => `${holds ? 'right' : 'WRONG'}  ${text}`),
  ].join('\n');
}

function formatBacklog(entrants: Entrant[], { name: scenario }: Scenario, { backlog }: Rounds): string {
  const byName = backlog[scenario];
  const ceiling = byName.get('ceiling');
  const isDead = scenario === 'dead';
  const rows = entrants.map(({ contestant: { name, label }, store }) => {
    const measured = byName.get(name) ?? [];
    const figures = summarize(measured);
    return [
      label,
      figures.perSecond.toFixed(0),
      ceiling ? median(ratios(measured, ceiling)).toFixed(2) : '',
      formatMs(figures.p50Ms),
      formatMs(figures.p99Ms),
      ...(isDead ? [median(deadToFast(backlog, name)).toFixed(1)] : []),
      formatFigure(figures.processCpu),
      store ? formatFigure(figures.storeCpu) : '',
      formatFigure(figures.receiverCpu),
      formatFigure(figures.connections, 1),
      formatFigure(figures.residentMiB, 0),
    ];
  });
  const heads = ['', 'deliveries/s', 'of (a)', 'p50 ms', 'p99 ms', ...(isDead ? ['p99 to none dead'] : [])];
  return alignTable([[...heads, 'process CPU', 'store CPU', 'receiver CPU', 'connections/1,000', 'RSS MiB'], ...rows]);
}

function formatLight(entrants: Entrant[], { light }: Rounds): string {
  const bare = light.get('ceiling');
  const rows = entrants.map(({ contestant: { name, label } }) => {
    const { p50Ms, p95Ms, p99Ms } = summarize(light.get(name) ?? []);
    const over = bare && name !== 'ceiling' ? formatSignedMs(p99Ms - summarize(bare).p99Ms) : '';
    return [label, formatMs(p50Ms), formatMs(p95Ms), formatMs(p99Ms), over];
  });
  return alignTable([['', 'p50 ms', 'p95 ms', 'p99 ms', '+p99 over a bare POST'], ...rows]);
}
