import { alignTable, describeMachine, formatFigure } from '../support/report-text.js';
import { FOLLOWERS, type Measured } from './polling.js';

const HEAD = [
  ...['', 'jobs', 'tenants', 'workers', 'calls/job/min', 'seen/s', 'CPU s/1000 seen', 'store CPU s/1000', 'tx/seen'],
  ...['RSS MiB', 'longest unseen s', 'delay p50 s', 'p95 s'],
];

export function formatPolling(measured: Measured[], seconds: number): string {
  const rows = measured.map(({ follower, scale: { jobs, tenants, workers }, figures: f }) => [
    FOLLOWERS[follower].label,
    ...[jobs, tenants, workers].map(String),
    formatFigure(f.callsPerJobMinute, 3),
    formatFigure(f.observationsPerSecond, 0),
    formatFigure(f.cpuSecondsPer1000, 4),
    formatFigure(f.storeCpuSecondsPer1000, 4),
    formatFigure(f.transactionsPerObservation, 4),
    formatFigure(f.residentBytes / 2 ** 20, 0),
    formatFigure(f.longestUnseenS, 1),
    formatFigure(f.delayS.p50, 1),
    formatFigure(f.delayS.p95, 1),
  ]);
  return [
    describeMachine(),
    `Each measured for ${seconds} s.`,
    '',
    alignTable([HEAD, ...rows]),
    '',
    ...aims(measured),
  ].join('\n');
}

function aims([sweeps, byId, axios, ...scales]: Measured[]): string[] {
  const figures = (of: Measured | undefined) => of!.figures;
  const ratio = (a: number, b: number): string => formatFigure(a / b, 1);
  const fewer = ratio(figures(byId).callsPerJobMinute, figures(sweeps).callsPerJobMinute);
  const cheaper = (of: Measured | undefined): string =>
    ratio(figures(of).cpuSecondsPer1000, figures(sweeps).cpuSecondsPer1000);
  const lines = [
    `calls, job by job / sweeps: ${fewer} (aim: 20 at least, at 100 jobs a tenant)`,
    `CPU an observation, job by job / sweeps: ${cheaper(byId)}, axios / sweeps: ${cheaper(axios)} (aim: 5 at least)`,
  ];
  const largest = scales.filter(({ scale }) => scale.workers === 1).sort((a, b) => b.scale.jobs - a.scale.jobs)[0];
  if (largest)
    lines.push(
      `${largest.scale.jobs} jobs on one worker: each page seen at least every ${formatFigure(largest.figures.longestUnseenS, 1)} s (aim: 30), ` +
        `${formatFigure(largest.figures.residentBytes / 2 ** 20, 0)} MiB (aim: 512 at most)`,
    );
  return lines;
}
