/** What the gateway does between a create and its outcome, as it shows on the wires to Postgres and to TensorPix. */
export type Step =
  | 'intent'
  | 'key'
  | 'outcome'
  | 'observation'
  | 'verdict'
  | 'claim'
  | 'look claim'
  | 'look result'
  | 'sighting'
  | 'commit'
  | 'call'
  | 'image call'
  | 'job list'
  | 'upload list'
  | 'result list';

/**
 * before: the statement or request is held back, and never arrives. during: a request has passed, and is perhaps worked on.
 * after: the answer is there (a statement has run and is committed, unless its transaction goes on) and is held back.
 */
export type Phase = 'before' | 'during' | 'after';

export type KillPoint = `${Phase} ${Step}`;

/** First match wins: a statement that does several of these things is named by what a job loses or gains. */
const STATEMENTS: readonly (readonly [Step, RegExp])[] = [
  ['intent', /insert into jobs\b/i],
  ['outcome', /update jobs\b.*jsonb?_to_recordset|jsonb?_to_recordset.*update jobs\b/is],
  ['claim', /update jobs\b.*skip locked|skip locked.*update jobs\b/is],
  ['look claim', /update tensorpix_accounts\b.*skip locked|skip locked.*update tensorpix_accounts\b/is],
  ['look result', /update tensorpix_accounts\b/i],
  ['sighting', /insert into upstream_sightings\b/i],
  ['key', /(insert into|update|delete from) idempotency_keys\b/i],
];

const REQUESTS: readonly (readonly [Step, RegExp])[] = [
  ['call', /^POST \/api\/jobs\/from-url\/$/],
  ['image call', /^POST \/api\/images\/enhance\/from-url\/$/],
  ['job list', /^GET \/api\/jobs\/(\?|$)/],
  ['upload list', /^GET \/api\/videos\/(\?|$)/],
  ['result list', /^GET \/api\/restored-videos\/(\?|$)/],
];

/** Every point that a run tries to hit, those of one step in the order in which they are passed. */
export const KILL_POINTS: readonly KillPoint[] = [
  'before intent',
  'after intent',
  'before call',
  'during call',
  'after call',
  'before outcome',
  'after outcome',
  'before claim',
  'after claim',
  'during image call',
  'after image call',
  'during job list',
  'after job list',
  'before observation',
  'after observation',
  'before key',
  'after key',
  'before look claim',
  'after look claim',
  'during upload list',
  'during result list',
  'before sighting',
  'after sighting',
  'before verdict',
  'after verdict',
  'before look result',
  'after look result',
  'before commit',
  'after commit',
];

/**
 * One statement writes all changes of jobs. Whose change it is shows in the claim that its parameters name: that of a
 * look for lost jobs, that of a look at running ones, or else that of the sender.
 */
const CHANGES: readonly (readonly [Step, string])[] = [
  ['verdict', '"reconcile_lease":"'],
  ['observation', '"poll_lease":"'],
];

/**
 * Null for a statement at which nothing is killed.
 * @param parameters as they are bound, in any encoding that keeps ASCII
 */
export function stepOfStatement(sql: string, parameters: Buffer): Step | null {
  const step = STATEMENTS.find(([, pattern]) => pattern.test(sql))?.[0] ?? null;
  if (step !== 'outcome') return step;
  return CHANGES.find(([, claim]) => parameters.includes(claim))?.[0] ?? step;
}

export function isCommit(sql: string): boolean {
  return /^\s*commit\b/i.test(sql);
}

/** Null for a request at which nothing is killed. */
export function stepOfRequest(method: string, path: string): Step | null {
  return REQUESTS.find(([, pattern]) => pattern.test(`${method} ${path}`))?.[0] ?? null;
}
