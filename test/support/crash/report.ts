import type { KillCounts } from './killer.js';
import type { Submission } from './submission.js';
import { sourceOf, type Evidence, type Violation, type ViolationKind } from './violation.js';

const MOST_SHOWN = 20;
const LOG_LINES_A_ROW = 30;

export interface Counts {
  seed: number;
  submissions: readonly Submission[];
  kills: KillCounts;
  faults: number;
  jobs: number;
  foreignJobs: number;
  byPerson: number;
  replays: number;
  violations: readonly Violation[];
}

/** A run in a line. */
export function summarise({ seed, submissions, kills, faults, violations, ...counts }: Counts): string {
  const of = (kind: ViolationKind): number => violations.filter((violation) => violation.kind === kind).length;
  const keyed = submissions.filter(({ key }) => key !== null).length;
  const retried = submissions.filter(({ key, tries }) => key !== null && tries.length > 1).length;
  const accepted = submissions.filter(({ final }) => final === 'accepted').length;
  const points = [...kills.hits].filter(([, hits]) => hits > 0).map(([point, hits]) => `${point} ${hits}`);
  return [
    `seed ${seed}: ${submissions.length} submissions (${keyed} keyed, ${retried} retried, ${accepted} accepted)`,
    `${kills.total} kills (${points.join(', ')}) and ${kills.stills} standstills`,
    `${faults} faults`,
    `${counts.jobs} jobs at TensorPix beside ${counts.foreignJobs} foreign ones`,
    `${of('lost')} lost`,
    `${of('charged twice')} charged twice`,
    `${of('foreign adopted')} foreign adopted`,
    `${counts.byPerson} resolved by a person`,
    `${of('stuck')} stuck`,
    `${counts.replays} answers replayed`,
    `${violations.length} violations in all`,
  ].join(', ');
}

/** The violations, each with everything that is known of its sources. */
export async function describeViolations(
  seed: number,
  violations: readonly Violation[],
  evidence: Evidence,
): Promise<string> {
  const shown = violations.slice(0, MOST_SHOWN);
  const urls = [...new Set(shown.flatMap((violation) => violation.urls))];
  const parts = await Promise.all(urls.map((url) => describeSource(url, evidence)));
  const left = violations.length - shown.length;
  return [
    `seed ${seed}: ${violations.length} violations`,
    ...shown.map(({ kind, text, urls: about }) => `- ${kind}: ${text} [${about.join(' ')}]`),
    ...(left > 0 ? [`- and ${left} more`] : []),
    ...parts,
  ].join('\n');
}

async function describeSource(
  url: string,
  { submissions, rows, upstream, records, replicas }: Evidence,
): Promise<string> {
  const lines = [`\n${url}`];
  for (const { number, prefer, key, twice, final, tries, tenant } of submissions.filter((each) => each.url === url)) {
    lines.push(`  submission ${number} ${JSON.stringify({ tenant: tenant.id, prefer, key, twice, final })}`);
    lines.push(...fold(tries.map((made) => `    answer ${JSON.stringify(made)}`)));
  }
  for (const row of rows.filter((each) => sourceOf(each) === url)) {
    lines.push(`  row ${JSON.stringify(row)}`);
    for (const { sequence, type, data, created_at } of await records.events(row.id))
      lines.push(`    event ${sequence} ${created_at.toISOString()} ${type} ${JSON.stringify(data)}`);
    for (const { name, log } of replicas)
      for (const line of log.filter((each) => each.includes(row.id)).slice(-LOG_LINES_A_ROW))
        lines.push(`    ${name} ${line}`);
  }
  for (const { atMs, tokenSuffix, status, fault } of upstream.calls().get(url) ?? [])
    lines.push(`  call ${new Date(atMs).toISOString()} ${JSON.stringify({ tokenSuffix, status, fault })}`);
  for (const { id, account, createdAtMs, ended, parameters } of upstream.allJobsOf(url)) {
    const job = { id, account: account.id, ended: ended?.status ?? null, parameters };
    lines.push(`  job ${new Date(createdAtMs).toISOString()} ${JSON.stringify(job)}`);
  }
  return lines.join('\n');
}

/** Equal lines in a row become one. */
function fold(lines: readonly string[]): string[] {
  const folded: { line: string; times: number }[] = [];
  for (const line of lines) {
    const last = folded.at(-1);
    if (last?.line === line) last.times += 1;
    else folded.push({ line, times: 1 });
  }
  return folded.map(({ line, times }) => (times === 1 ? line : `${line} ×${times}`));
}
