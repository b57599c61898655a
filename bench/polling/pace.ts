import * as fs from 'node:fs';
import { alignTable } from '../support/report-text.js';
import { drawPlot, type Series } from './plot.js';
import { BOUNDS, PaceModel, type PaceResult } from './pace-model.js';

export interface PaceOptions {
  /** simulated */
  hours: number;
  seed: number;
  /** of the plot */
  svgFile: string | undefined;
}

const ACTIVE = [1, 2, 5, 10, 20, 50, 100, 1_000] as const;
const INTERVALS_S = [2, 5, 10, 20, 30, 60, 120] as const;
/** What the aims are measured against. */
const COMPARED_S = 10;

/**
 * Delay against calls of the gateway's pace and of fixed intervals, by a clock of its own: the planner and the pace are
 * the gateway's, TensorPix is a model of it. Prints a table.
 *
 * @returns false when an aim is missed: here the machine cannot be to blame
 */
export function runPace({ hours, seed, svgFile }: PaceOptions): boolean {
  const own = ACTIVE.map((active) => ({ active, result: new PaceModel(active, hours, seed).gateway() }));
  const fixed = INTERVALS_S.map((intervalS) => ({ intervalS, result: new PaceModel(1, hours, seed).fixed(intervalS) }));
  const compared = fixed.find(({ intervalS }) => intervalS === COMPARED_S)!.result;
  const share = (result: PaceResult): number => result.callsPerJobMinute / compared.callsPerJobMinute;
  const cells = (name: string, result: PaceResult): string[] => [
    name,
    result.medianDelayS.toFixed(1),
    result.p95DelayS.toFixed(1),
    result.callsPerJobMinute.toFixed(3),
    `${(100 * share(result)).toFixed(1)} %`,
  ];
  const head = ['', 'median delay s', 'p95 s', 'calls/job/min', `of fixed ${COMPARED_S} s`];
  const rows = [
    ...own.map(({ active, result }) => cells(`gateway, ${active} active`, result)),
    ...fixed.map(({ intervalS, result }) => cells(`each job every ${intervalS} s`, result)),
  ];
  console.log(`Simulated for ${hours} hours, seed ${seed}, intervals of ${BOUNDS.minMs} to ${BOUNDS.maxMs} ms.\n`);
  console.log(alignTable([head, ...rows]));
  if (svgFile !== undefined) {
    const series: Series[] = [
      {
        name: 'each job at a fixed interval',
        points: fixed.map(({ intervalS, result }) => point(`${intervalS} s`, result)),
      },
      { name: 'gateway, by jobs under way', points: own.map(({ active, result }) => point(String(active), result)) },
    ];
    fs.writeFileSync(svgFile, drawPlot(series, 'calls a job and minute', 'median delay, seconds'));
  }
  return own.every(({ active, result }) =>
    active >= 20 ? result.medianDelayS <= 3 && share(result) <= 0.1 : result.medianDelayS <= 5 && share(result) <= 0.5,
  );
}

function point(label: string, { callsPerJobMinute, medianDelayS }: PaceResult): Series['points'][number] {
  return { label, x: callsPerJobMinute, y: medianDelayS };
}
