import * as os from 'node:os';
import { median } from './load.js';

/** Columns as wide as their widest cell; the first is text, the others are figures. */
export function alignTable(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** `median (lowest to highest)` */
export function formatSpread(values: number[]): string {
  return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
}

export function formatMs(value: number): string {
  if (Number.isNaN(value)) return 'n/a';
  return value.toFixed(Math.abs(value) < 1 ? 2 : 1);
}

export function formatSignedMs(value: number): string {
  return `${value < 0 ? '' : '+'}${formatMs(value)}`;
}

/** A figure that the system may not tell. */
export function formatFigure(value: number, digits = 2): string {
  return Number.isNaN(value) ? 'n/a' : value.toFixed(digits);
}

export function describeMachine(): string {
  const cpus = os.cpus();
  return `${cpus.length} cores (${cpus[0]?.model.trim() ?? 'unknown'}), Node ${process.versions.node}, ${os.platform()}.`;
}
