import type { Contestant, Contestants } from './contestants.js';
import { query, type Databases } from './databases.js';
import type { Rounds } from './measurement.js';

export interface Check {
  text: string;
  holds: boolean;
}

interface SimulatorState {
  accounts: { tokens: string[]; jobs_created: number }[];
}

/** Figures of a run that lost or doubled something are worth nothing: everything sent is looked for. */
export async function verify(
  { all, simulatorUrl }: Contestants,
  databases: Databases,
  { tallies }: Rounds,
): Promise<Check[]> {
  const response = await fetch(`${simulatorUrl}/_sim/state`);
  const { accounts } = (await response.json()) as SimulatorState;
  const createdBy = ({ name }: Contestant) => tallies.get(name)?.created ?? 0;
  const answers = all.map((contestant) => checkAnswers(contestant, tallies));
  const upstream = all.map((contestant) => {
    const account = accounts.find(({ tokens }) => tokens.includes(contestant.token.slice(-4)));
    const [there, expected] = [account?.jobs_created ?? 0, createdBy(contestant)];
    return { text: `${contestant.label}: ${there} jobs at the simulator`, holds: there === expected };
  });
  const created = Object.fromEntries(all.map((contestant) => [contestant.name, createdBy(contestant)]));
  return [
    ...answers,
    ...upstream,
    await checkGatewayRows(databases.gatewayUrl, created['gateway'] ?? 0),
    await checkObviousRows(databases.obviousUrl, created['obvious'] ?? 0),
  ];
}

function checkAnswers({ name, label }: Contestant, tallies: Rounds['tallies']): Check {
  const { created, others } = tallies.get(name) ?? { created: 0, others: new Map<string, number>() };
  const rest = [...others].map(([outcome, count]) => `, ${count} times ${outcome}`).join('');
  return { text: `${label}: ${created} answers 201${rest}`, holds: created > 0 && others.size === 0 };
}

async function checkGatewayRows(url: string, created: number): Promise<Check> {
  const [row] = await query<{ rows: number; bound: number; ids: number; recorded: number }>(
    url,
    `select count(*)::int as rows,
            count(*) filter (where status = 'queued' and tensorpix_id is not null)::int as bound,
            count(distinct tensorpix_id)::int as ids,
            (select count(*)::int
               from (select job_id from job_events group by job_id
                     having array_agg(type order by sequence) = array['job.submitting', 'job.queued']) e) as recorded
       from jobs`,
  );
  const { rows = 0, bound = 0, ids = 0, recorded = 0 } = row ?? {};
  const text = `gateway: ${rows} rows, ${bound} queued and bound to ${ids} TensorPix ids, ${recorded} with both events`;
  return { text, holds: [rows, bound, ids, recorded].every((count) => count === created) };
}

async function checkObviousRows(url: string, created: number): Promise<Check> {
  const [row] = await query<{ bound: number }>(
    url,
    `select count(distinct tensorpix_id)::int as bound from jobs where status = 'queued'`,
  );
  const bound = row?.bound ?? 0;
  return { text: `(c) the obvious stack: ${bound} rows queued and bound`, holds: bound === created };
}
