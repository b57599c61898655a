import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { cpuSecondsOfFamily } from '../support/cpu-time.js';
import { median } from '../support/load.js';
import { startBenchPostgres, tidyDatabase, type BenchPostgres } from '../support/postgres.js';
import { alignTable, describeMachine, formatFigure, formatSpread } from '../support/report-text.js';
import { openContestants, type Contestant } from './contestants.js';

/** Waiting jobs at the beginning of each round, all due, shared out among the tenants. */
const WAITING = 12_000;
/** As many as the submitter has room for. */
const A_CLAIM = 64;
const CLAIMS_A_ROUND = 150;
const MOST_TIMES = 1.5;

export interface ClaimsSettings {
  tenants: number[];
  rounds: number;
}

interface Cost {
  /** of a claimed job, milliseconds of all Postgres processes */
  cpuMs: number;
  /** of a claimed job, milliseconds until the claim had its answer */
  ms: number;
}

/**
 * What a claimed job costs Postgres when tenants take turns, against a claim of the oldest jobs whoever has them. Prints a table. A
 * missed aim is printed only: on a busy machine it may be the machine's.
 */
export async function runClaims({ tenants, rounds }: ClaimsSettings): Promise<boolean> {
  const postgres = await startBenchPostgres();
  try {
    const rows: string[][] = [];
    let met = true;
    for (const count of tenants) {
      console.error(`${count} tenants`);
      const { turns, oldest } = await measure(postgres, count, rounds);
      const ratios = turns.map(({ cpuMs }, i) => cpuMs / oldest[i]!.cpuMs);
      const times = turns.map(({ ms }, i) => ms / oldest[i]!.ms);
      met &&= !(median(ratios) > MOST_TIMES) && !(median(times) > MOST_TIMES);
      rows.push([String(count), ...figures(turns), ...figures(oldest), formatSpread(ratios), formatSpread(times)]);
    }
    const columns = ['CPU ms a job, turns', 'ms', 'CPU ms a job, oldest first', 'ms', 'CPU, ratio', 'time, ratio'];
    console.log(`${describeMachine()} ${rounds} rounds of ${CLAIMS_A_ROUND} claims of ${A_CLAIM} jobs.\n`);
    console.log(alignTable([['tenants', ...columns], ...rows]));
    console.log(`\nAt most ${MOST_TIMES} times oldest first: ${met ? 'met' : 'not met'}`);
    return true;
  } finally {
    await postgres.stop();
  }
}

function figures(costs: Cost[]): string[] {
  return [costs.map(({ cpuMs }) => cpuMs), costs.map(({ ms }) => ms)].map((each) => formatFigure(median(each), 3));
}

async function measure(postgres: BenchPostgres, tenants: number, rounds: number) {
  const contestants = await openContestants(postgres, `bench_claims_${tenants}`);
  try {
    for (const { databaseUrl } of Object.values(contestants)) await addTenants(databaseUrl, tenants);
    const costs = { turns: [] as Cost[], oldest: [] as Cost[] };
    // The first round warms up.
    for (let round = 0; round <= rounds; round += 1) {
      const order = round % 2 === 0 ? (['turns', 'oldest'] as const) : (['oldest', 'turns'] as const);
      for (const name of order) {
        const cost = await costOf(contestants[name], postgres.pid);
        if (round > 0) costs[name].push(cost);
      }
    }
    return costs;
  } finally {
    for (const contestant of Object.values(contestants)) await contestant.close();
  }
}

async function costOf({ databaseUrl, claim }: Contestant, pid: number): Promise<Cost> {
  await fill(databaseUrl);
  await tidyDatabase(databaseUrl);
  const cpuBefore = cpuSecondsOfFamily(pid);
  const startMs = performance.now();
  let jobs = 0;
  for (let i = 0; i < CLAIMS_A_ROUND; i += 1) jobs += await claim(A_CLAIM);
  const ms = performance.now() - startMs;
  const cpuAfter = cpuSecondsOfFamily(pid);
  if (jobs !== CLAIMS_A_ROUND * A_CLAIM) throw new Error(`${jobs} jobs were claimed`);
  const cpuMs = cpuBefore === null || cpuAfter === null ? Number.NaN : (cpuAfter - cpuBefore) * 1_000;
  return { cpuMs: cpuMs / jobs, ms: ms / jobs };
}

async function addTenants(databaseUrl: string, count: number): Promise<void> {
  const ids = Array.from({ length: count }, () => randomUUID());
  await run(databaseUrl, [
    ['insert into tensorpix_accounts (id) select unnest($1::uuid[])', [ids]],
    [
      `insert into tenants (id, name, account_id, token_ciphertext, token_last4)
       select id, 'bench', id, 'none', 'none' from unnest($1::uuid[]) as id`,
      [ids],
    ],
    ['insert into tenant_paces (tenant_id) select unnest($1::uuid[])', [ids]],
  ]);
}

/** The same state before each round: nothing is claimed, the jobs of a tenant lie among those of all others. */
async function fill(databaseUrl: string): Promise<void> {
  await run(databaseUrl, [
    ['truncate jobs cascade', []],
    [
      `insert into jobs (id, tenant_id, account_id, kind, status, status_reason, input, callback_events, observable_key, due_at)
       select gen_random_uuid(), t.id, t.account_id, 'video', 'submitting', 'upstream_unavailable',
              jsonb_build_object('video_url', 'https://media.example.com/' || n || '.mp4', 'ml_models', '[1]'::jsonb), '{}',
              sha256(convert_to(n::text, 'utf8')), now() - (n || ' milliseconds')::interval
         from generate_series(1, $1::int) as n
         join (select id, account_id, row_number() over () - 1 as place, count(*) over () as count from tenants) t
           on n % t.count = t.place`,
      [WAITING],
    ],
  ]);
}

async function run(databaseUrl: string, statements: [string, unknown[]][]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (const [text, values] of statements) await client.query(text, values);
  } finally {
    await client.end();
  }
}
