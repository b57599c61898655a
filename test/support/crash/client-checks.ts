import { groupBy } from './group-by.js';
import type { Person } from './person.js';
import type { Row } from './records.js';
import { acceptedIds, isPaidImage, isRefused, type Submission } from './submission.js';
import { sourceOf, type Evidence, type Violation } from './violation.js';

/** What clients were told, against the rows. */
export async function checkClients(evidence: Evidence): Promise<Violation[]> {
  return [
    ...evidence.submissions.flatMap(checkAnswers),
    ...checkToldRows(evidence),
    ...checkRowCounts(evidence),
    ...checkOutcomes(evidence),
    ...(await checkKeys(evidence)),
  ];
}

/** A client is told what the contract lets it be told, and of one row only. */
function checkAnswers(submission: Submission): Violation[] {
  const { number, tries, final, url } = submission;
  const found: Violation[] = [];
  const note = (kind: Violation['kind'], text: string): void =>
    void found.push({ kind, text: `submission ${number} ${text}`, urls: [url] });
  if (final === null) note('lost', 'was never answered');
  const ids = [...acceptedIds(submission)];
  if (ids.length > 1) note('two rows', `was accepted as ${ids.join(' and ')}`);
  for (const { status, code } of tries)
    if (!isAllowed(submission, status, code)) note('answer', `got ${status} ${code}`);
  return found;
}

/** Contract, section 4. */
function isAllowed(submission: Submission, status: number | null, code: string | null): boolean {
  if (status === null || status === 201 || status === 202 || status === 503) return true;
  if (status === 400) return isRefused(submission);
  if (status === 409) return submission.key !== null && code === 'idempotency_in_progress';
  if (status === 429) return submission.strict;
  if (status === 502 || status === 504) return submission.strict || isPaidImage(submission);
  return false;
}

/** Whoever is told the id of a row is told that of its own. */
function checkToldRows({ submissions, rows }: Evidence): Violation[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return submissions.flatMap(({ number, tenant, url, tries }) =>
    tries.flatMap(({ status, id }): Violation[] => {
      const row = byId.get(id ?? '');
      if (row?.tenant_id === tenant.id && sourceOf(row) === url) return [];
      // Without the database nobody knows whether the row was written: then the id is only what it would have.
      const isPromise = status === 201 || status === 202 || (id !== null && status !== 503);
      if (!isPromise && !row) return [];
      return [{ kind: 'lost', text: `submission ${number} was told ${status} of ${id}, not its row`, urls: [url] }];
    }),
  );
}

/** Of the rows that could cost something no source has more than it had requests. */
function checkRowCounts({ submissions, rows }: Evidence): Violation[] {
  const requests = groupBy(submissions, ({ url }) => url);
  const alive = rows.filter(({ status, tensorpix_id }) => status !== 'failed' || tensorpix_id !== null);
  return [...groupBy(alive, sourceOf)].flatMap(([url, all]): Violation[] => {
    const most = requests.get(url)?.length ?? 0;
    if (all.length <= most) return [];
    return [{ kind: 'two rows', text: `${all.length} rows for ${most} requests`, urls: [url] }];
  });
}

/** What was accepted has ended as it should: nothing between the client and TensorPix made it fail. */
function checkOutcomes({ submissions, rows, person }: Evidence): Violation[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return submissions.flatMap((submission) =>
    [...acceptedIds(submission)].flatMap((id): Violation[] => {
      const row = byId.get(id);
      if (!row || row.status === 'finished' || mayHaveFailed(submission, row, person)) return [];
      const text = `submission ${submission.number} was accepted, and ${id} is ${row.status} (${row.error?.code})`;
      return [{ kind: 'lost', text, urls: [submission.url] }];
    }),
  );
}

function mayHaveFailed(submission: Submission, { id, status, error }: Row, person: Person): boolean {
  if (status !== 'failed') return false;
  if (person.failed.has(id)) return true;
  if (isRefused(submission)) return error?.code === 'validation_failed';
  const cannotBeLookedUp = submission.kind === 'image' && (submission.strict || isPaidImage(submission));
  return cannotBeLookedUp && error?.code === 'outcome_unknown';
}

/** A key that was accepted leads to the row that its client was told of. */
async function checkKeys({ submissions, records }: Evidence): Promise<Violation[]> {
  const keys = new Map((await records.keys()).map(({ tenant_id, key, job_id }) => [`${tenant_id} ${key}`, job_id]));
  return submissions.flatMap((submission): Violation[] => {
    const { key, tenant, number, url } = submission;
    const [id] = acceptedIds(submission);
    if (key === null || id === undefined || keys.get(`${tenant.id} ${key}`) === id) return [];
    return [
      { kind: 'two rows', text: `submission ${number} was accepted as ${id}; its key leads elsewhere`, urls: [url] },
    ];
  });
}
