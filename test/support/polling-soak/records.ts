import type pg from 'pg';
import type { Simulator } from '../../../simulator/simulator.js';

/** What is compared at the end. */
interface Row {
  id: string;
  status: string;
  tensorpix_id: string | null;
  code: string | null;
  leftToPerson: boolean;
  events: number;
  newest: number;
  ends: number;
}

const SHOWN = new Map([
  [2, 'finished'],
  [-1, 'failed'],
  [-2, 'canceled'],
]);

/** TensorPix's lists were never whole while the job was looked for: nobody but a person decides about it then. */
const LEFT_TO_PERSON = `(j.status = 'unconfirmed' and j.status_reason = 'outcome_unknown' and exists (
  select 1 from job_events u where u.job_id = j.id and u.type = 'job.undecided' and u.data->>'reason' = 'lists_never_whole'))`;
/** One in so many, at most: a gateway that leaves its work to people is wrong, too. */
const JOBS_FOR_ONE_LEFT = 1_000;

/** Rows that have not ended, and of these those that are left to a person. */
export async function countOpen(pool: pg.Pool): Promise<{ open: number; leftToPerson: number }> {
  const { rows } = await pool.query<{ open: number; leftToPerson: number }>(
    `select count(*)::int as open, (count(*) filter (where ${LEFT_TO_PERSON}))::int as "leftToPerson"
       from jobs j where j.finished_at is null`,
  );
  return rows[0] ?? { open: 0, leftToPerson: 0 };
}

/** Every job ended as TensorPix holds it, its events have no gap, and no call was made with another's token. */
export async function findViolations(pool: pg.Pool, simulator: Simulator): Promise<string[]> {
  const { rows } = await pool.query<Row>(
    `select j.id, j.status, j.tensorpix_id, j.error->>'code' as code, ${LEFT_TO_PERSON} as "leftToPerson", count(e.*)::int as events, max(e.sequence)::int as newest,
            (count(e.*) filter (where e.type in ('job.finished', 'job.failed', 'job.canceled')))::int as ends
       from jobs j join job_events e on e.job_id = j.id group by j.id`,
  );
  return [...rows.flatMap((row) => checkRow(row, simulator)), ...checkLeft(rows), ...checkTokens(simulator)];
}

function checkLeft(rows: Row[]): string[] {
  const left = rows.filter(({ leftToPerson }) => leftToPerson).length;
  return left > Math.ceil(rows.length / JOBS_FOR_ONE_LEFT)
    ? [`${left} of ${rows.length} jobs are left to a person`]
    : [];
}

function checkRow(row: Row, { control }: Simulator): string[] {
  const { id, status, tensorpix_id: upstream, code, leftToPerson, events, newest, ends } = row;
  const wrong: string[] = [];
  if (events !== newest) wrong.push(`${id}: ${events} events, the newest has the number ${newest}`);
  if (ends !== (leftToPerson ? 0 : 1)) wrong.push(`${id}: ${ends} events of an end`);
  if (upstream === null) return wrong;
  const shown = SHOWN.get(control.describeJob(Number(upstream)).status);
  if (status !== shown || code === 'upstream_lost') wrong.push(`${id}: ${status} (${code}), at TensorPix ${shown}`);
  return wrong;
}

/** The simulator answers 404 to the token of another account, so that such a call shows as one. */
function checkTokens({ control }: Simulator): string[] {
  const accounts = new Map(
    control.summary().accounts.flatMap(({ account, tokens }) => tokens.map((token) => [token, account] as const)),
  );
  return control.requests().flatMap(({ path, tokenSuffix, number }) => {
    const id = /^\/api\/jobs\/(?:history\/)?(\d+)\/$/.exec(path)?.[1];
    if (id === undefined || control.describeJob(Number(id)).account === accounts.get(tokenSuffix ?? '')) return [];
    return [`request ${number}: ${path} with the token …${tokenSuffix}`];
  });
}
