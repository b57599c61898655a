import { groupBy } from './group-by.js';
import { sourceOf, type Evidence, type Violation } from './violation.js';

/** What TensorPix has, against the rows and what clients asked for. */
export async function checkUpstream(evidence: Evidence): Promise<Violation[]> {
  return [
    ...checkOwners(evidence),
    ...checkForeignJobs(evidence),
    ...checkCharges(evidence),
    ...checkCalls(evidence),
    ...(await checkHistory(evidence)),
  ];
}

/** Every job that a gateway made has one owner, which asked for exactly that. */
function checkOwners({ rows, upstream }: Evidence): Violation[] {
  const owners = groupBy(rows, ({ tensorpix_id }) => tensorpix_id);
  return upstream.jobs.flatMap((job): Violation[] => {
    const url = job.input.externalUrl ?? '';
    const [owner, ...others] = owners.get(job.id) ?? [];
    if (others.length > 0) return [{ kind: 'two rows', text: `job ${job.id} has several owners`, urls: [url] }];
    if (owner && upstream.isMadeFor(job, owner)) return [];
    if (owner)
      return [{ kind: 'wrong job', text: `${owner.id} owns job ${job.id} and sent something else`, urls: [url] }];
    const isSecond = upstream.jobsOf(url).some((other) => other !== job && owners.has(other.id));
    return [{ kind: isSecond ? 'charged twice' : 'lost', text: `job ${job.id} has no owner`, urls: [url] }];
  });
}

function checkForeignJobs({ rows, upstream }: Evidence): Violation[] {
  const owners = groupBy(rows, ({ tensorpix_id }) => tensorpix_id);
  return upstream.foreignJobs.flatMap((job) =>
    (owners.get(job.id) ?? []).map((row): Violation => {
      const text = `${row.id} owns job ${job.id}, which another system made`;
      return { kind: 'foreign adopted', text, urls: [sourceOf(row)] };
    }),
  );
}

/** At most one job, and one paid image, for each request. */
function checkCharges({ submissions, upstream }: Evidence): Violation[] {
  const requests = groupBy(submissions, ({ url }) => url);
  const jobs = groupBy(upstream.jobs, ({ input }) => input.externalUrl ?? '');
  const images = groupBy(upstream.paidImages, ({ url }) => url);
  return [...jobs, ...images].flatMap(([url, made]): Violation[] => {
    const most = requests.get(url)?.length ?? 0;
    if (made.length <= most) return [];
    return [{ kind: 'charged twice', text: `${made.length} charges for ${most} requests`, urls: [url] }];
  });
}

/** Invariant 1: no call without an attempt that was recorded before. A strict job is sent once. */
function checkCalls({ rows, upstream }: Evidence): Violation[] {
  const rowsByUrl = groupBy(rows, sourceOf);
  const unrecorded = [...upstream.calls()].flatMap(([url, calls]): Violation[] => {
    const attempts = (rowsByUrl.get(url) ?? []).reduce((sum, { attempt }) => sum + attempt, 0);
    if (calls.length <= attempts) return [];
    return [{ kind: 'sent again', text: `${calls.length} calls for ${attempts} recorded attempts`, urls: [url] }];
  });
  const repeated = rows.filter(({ kind, strict, attempt }) => kind === 'video' && strict && attempt > 1);
  const text = 'is strict, and was sent';
  return [
    ...unrecorded,
    ...repeated.map((row): Violation => {
      return { kind: 'sent again', text: `${row.id} ${text} ${row.attempt} times`, urls: [sourceOf(row)] };
    }),
  ];
}

/** Invariant 6: events are numbered without gaps. No row got a second job, except free images: those are repeated. */
async function checkHistory({ rows, records }: Evidence): Promise<Violation[]> {
  const sources = new Map(rows.map((row) => [row.id, sourceOf(row)]));
  const free = new Set(rows.filter(({ input }) => input['watermark'] === true).map(({ id }) => id));
  const gaps = (await records.gaps()).map((id): Violation => {
    return { kind: 'history', text: `the events of ${id} have a gap`, urls: [sources.get(id) ?? id] };
  });
  const duplicates = await records.eventsOfType('%.upstream_duplicate');
  const charged = duplicates.filter(({ job_id }) => !free.has(job_id));
  const seconds = charged.map(({ job_id, data }): Violation => {
    const text = `${job_id} got a second job: ${JSON.stringify(data)}`;
    return { kind: 'charged twice', text, urls: [sources.get(job_id) ?? job_id] };
  });
  return [...gaps, ...seconds];
}
