import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { watchUsage } from '../support/process-usage.js';
import type { ServerProcess } from '../support/server-process.js';
import type { Scene } from './scene.js';

export interface PollingFigures {
  callsPerJobMinute: number;
  observationsPerSecond: number;
  cpuSecondsPer1000: number;
  storeCpuSecondsPer1000: number;
  transactionsPerObservation: number;
  residentBytes: number;
  /** the longest time for which a page, or a job asked for by id, was not asked for, seconds */
  longestUnseenS: number;
  /** between the end at TensorPix and our record of it; NaN when none ended */
  delayS: { p50: number; p95: number };
}

interface Logged {
  atMs: number;
  method: string;
  path: string;
  tokenSuffix: string | null;
  status: number | null;
}

/** Tenants whose ended jobs are compared. */
const SAMPLED_TENANTS = 20;

/** Watches these workers for a while, after they have had time to see everything once. */
export async function measure(
  scene: Scene,
  workers: ServerProcess[],
  storePid: number,
  { warmUpMs, seconds }: { warmUpMs: number; seconds: number },
): Promise<PollingFigures> {
  await delay(warmUpMs);
  const observedBefore = await observed(workers);
  const commitsBefore = await commits(scene.databaseUrl);
  const watches = workers.map(({ pid }, i) => watchUsage(pid, i === 0 ? storePid : null));
  const fromMs = Date.now();
  await delay(seconds * 1_000);
  const usage = watches.map(({ stop }) => stop());
  const untilMs = Date.now();
  const seen = (await observed(workers)) - observedBefore;
  const committed = (await commits(scene.databaseUrl)) - commitsBefore;
  const log = (await json<Logged[]>(`${scene.simulator.url}/_sim/requests`)).filter(({ atMs }) => atMs >= fromMs);
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  const kilo = seen / 1_000;
  return {
    callsPerJobMinute: log.length / scene.scale.jobs / ((untilMs - fromMs) / 60_000),
    observationsPerSecond: seen / ((untilMs - fromMs) / 1_000),
    cpuSecondsPer1000: sum(usage.map(({ processCpuSeconds }) => processCpuSeconds)) / kilo,
    storeCpuSecondsPer1000: sum(usage.map(({ storeCpuSeconds }) => storeCpuSeconds)) / kilo,
    transactionsPerObservation: committed / seen,
    residentBytes: Math.max(...usage.map(({ residentBytes }) => residentBytes)),
    longestUnseenS: longestGapMs(log, fromMs, untilMs) / 1_000,
    delayS: await delays(scene, fromMs),
  };
}

/** Of any page or job, from one call for it to the next, and from the newest one to now. */
function longestGapMs(log: Logged[], fromMs: number, untilMs: number): number {
  const times = new Map<string, number[]>();
  for (const { tokenSuffix, path, atMs } of log) {
    const key = `${tokenSuffix} ${path}`;
    times.set(key, [...(times.get(key) ?? []), atMs]);
  }
  // A page that was asked for once in a while is the end of a list that has become shorter.
  const gaps = [...times.values()]
    .filter((at) => at.length > 1 || untilMs - fromMs < 30_000)
    .map((at) => Math.max(...at.map((ms, i) => (at[i + 1] ?? ms) - ms)));
  return gaps.reduce((longest, gap) => Math.max(longest, gap), 0);
}

async function delays(
  { simulator, databaseUrl, tokens }: Scene,
  fromMs: number,
): Promise<{ p50: number; p95: number }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; at: Date }>(
      `select tensorpix_id as id, finished_at as at from jobs where status = 'finished' and finished_at >= $1`,
      [new Date(fromMs)],
    );
    const recorded = new Map(rows.map(({ id, at }) => [Number(id), at.getTime()]));
    const found: number[] = [];
    for (const token of tokens.slice(0, SAMPLED_TENANTS)) {
      const page = await json<{ results: { job_id: number; created_at: string }[] }>(
        `${simulator.url}/api/restored-videos/?limit=100`,
        { authorization: `Token ${token}` },
      );
      for (const { job_id: id, created_at } of page.results) {
        const at = recorded.get(id);
        if (at !== undefined) found.push((at - Date.parse(created_at)) / 1_000);
      }
    }
    found.sort((a, b) => a - b);
    const at = (share: number): number => found[Math.floor(found.length * share)] ?? Number.NaN;
    return { p50: at(0.5), p95: at(0.95) };
  } finally {
    await client.end();
  }
}

async function observed(workers: ServerProcess[]): Promise<number> {
  const texts = await Promise.all(workers.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
  return texts.reduce((sum, text) => sum + Number(/^gateway_observations_total (\d+)/m.exec(text)?.[1] ?? 0), 0);
}

async function commits(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ commits: string }>(
      'select xact_commit as commits from pg_stat_database where datname = current_database()',
    );
    return Number(rows[0]?.commits);
  } finally {
    await client.end();
  }
}

async function json<T>(url: string, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(url, { headers });
  return (await response.json()) as T;
}
