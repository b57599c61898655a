import { canonicalJson } from '../canonical-json.js';
import type { JobRecord } from '../job-record.js';
import {
  ALL_EXCLUSIONS,
  CLOCK_SLACK_MS,
  couldBeOurs,
  isAdoptable,
  type Exclusion,
  type UnknownCall,
  type UnownedJob,
} from './could-be-ours.js';

/** An input video that no shown job accounts for: its job may have ended and left the list. */
export interface Trace {
  /** normalised */
  url: string;
  createdAt: Date | null;
}

/** What one look at an account has shown. Times are the database's. */
export interface AccountLook {
  begunAt: Date;
  /** Every page was read, with one `count` from first to last, and as many distinct jobs as that. */
  complete: boolean;
  /** The lists of input videos and of results were read too, as far as TensorPix serves them. */
  searchedBeyond: boolean;
  /** The newest active job that we own there was shown, if there is one. */
  holdsNewest: boolean;
  /** Each job of ours that was shown has the URL and the models that were sent for it: what was not shown can be told by them. */
  showsAsSent: boolean;
  unowned: UnownedJob[];
  traces: Trace[];
  /** keys of which a call was under way, or had just become unknown, when the look had ended */
  inFlight: ReadonlySet<string>;
}

export interface Timing {
  /** the longest that a call takes */
  callTimeoutMs: number;
  /** how long after a call its job may still appear */
  graceMs: number;
}

export type Verdict =
  /** Nothing is known yet: look again. */
  | { kind: 'wait' }
  /** This look showed nothing that could be the job; one more is needed. */
  | { kind: 'clean' }
  /** The second clean look: TensorPix does not have the job. */
  | { kind: 'absent' }
  | { kind: 'adopt'; job: UnownedJob; candidates: number }
  /** The look counts, and showed what is not whole or cannot be explained: from now on patience runs out. */
  | { kind: 'doubt'; cause: Doubt }
  /** What TensorPix shows cannot settle it: a person decides. */
  | { kind: 'undecidable'; cause: 'equal_in_the_list' | Doubt };

/** How many graces each is waited for, until a person is asked. A list that TensorPix does not answer is waited for without end. */
const PATIENCE_GRACES = { left_a_trace: 3, shown_otherwise: 3, lists_never_whole: 30 } as const;

type Doubt = keyof typeof PATIENCE_GRACES;

type Condition = (call: UnknownCall, look: AccountLook, timing: Timing) => boolean;

/** What a look must be so that a job's absence from it means something. */
export const CLEAN_CONDITIONS = {
  complete: (_, look) => look.complete,
  searchedBeyond: (_, look) => look.searchedBeyond,
  holdsNewest: (_, look) => look.holdsNewest,
  lateEnough: (call, look, timing) => look.begunAt.getTime() >= judgedFromMs(call, timing),
  apart: ({ cleanLookAt }, { begunAt }, { graceMs }) =>
    cleanLookAt === null || begunAt.getTime() - cleanLookAt.getTime() >= graceMs / 4,
} satisfies Record<string, Condition>;

export type CleanCondition = keyof typeof CLEAN_CONDITIONS;

/** Complete looks after which TensorPix is known not to have a job. */
export const CLEAN_LOOKS_NEEDED = 2;

/** True while nobody knows whether TensorPix has this job: no equal one is sent meanwhile. */
export function isUnknown({ status, cleanLooks }: Pick<JobRecord, 'status' | 'cleanLooks'>): boolean {
  return status === 'unconfirmed' && cleanLooks < CLEAN_LOOKS_NEEDED;
}

/** Everything that stands between an unknown outcome and a second charge. A check of the protocol removes one at a time. */
export interface Guards {
  exclusions: readonly Exclusion[];
  clean: readonly CleanCondition[];
  cleanLooks: number;
  waitsForCallsInFlight: boolean;
}

export const GUARDS: Guards = {
  exclusions: ALL_EXCLUSIONS,
  clean: Object.keys(CLEAN_CONDITIONS) as CleanCondition[],
  cleanLooks: CLEAN_LOOKS_NEEDED,
  waitsForCallsInFlight: true,
};

/**
 * From when on a look may count: until then the call can have its effect, and so can one of an equal row, which may have been
 * given this call's job. Milliseconds since the epoch.
 */
export function judgedFromMs({ equalsUnknownSince }: UnknownCall, { callTimeoutMs, graceMs }: Timing): number {
  return equalsUnknownSince.getTime() + callTimeoutMs + graceMs;
}

/** Pure: what a look means for the unknown calls of its account, all of them, beside those that were given up, which get no verdict. */
export function judge(
  calls: readonly UnknownCall[],
  look: AccountLook,
  timing: Timing,
  guards: Guards = GUARDS,
): Map<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  for (const equals of groupBy(calls, ({ key }) => key).values()) {
    const [{ key }] = equals as [UnknownCall];
    if (guards.waitsForCallsInFlight && look.inFlight.has(key)) {
      for (const { id } of equals.filter(isJudged)) verdicts.set(id, { kind: 'wait' });
    } else judgeEquals(equals, look, timing, guards, verdicts);
  }
  return verdicts;
}

function judgeEquals(
  calls: UnknownCall[],
  look: AccountLook,
  timing: Timing,
  guards: Guards,
  verdicts: Map<string, Verdict>,
): void {
  const fits = (call: UnknownCall, job: UnownedJob) => couldBeOurs(call, job, guards.exclusions);
  const classes = [...groupBy(calls, ({ input }) => canonicalJson(input)).values()];
  for (const alike of classes) {
    const members = alike.filter(isJudged);
    // What one that was given up has made serves whoever asked for the same, and nobody else.
    const others = calls.filter((call) => !alike.includes(call));
    const candidates = look.unowned.filter((job) => isAdoptable(job) && members.some((call) => fits(call, job)));
    if (candidates.some((job) => others.some((call) => fits(call, job)))) {
      for (const { id } of members) verdicts.set(id, { kind: 'undecidable', cause: 'equal_in_the_list' });
    } else if (candidates.length > 0) {
      for (const { id } of members) verdicts.set(id, { kind: 'wait' });
      for (const { call, job } of nearest(members, candidates, fits))
        verdicts.set(call.id, { kind: 'adopt', job, candidates: candidates.length });
    } else for (const call of members) verdicts.set(call.id, judgeAbsence(call, look, timing, guards));
  }
}

function isJudged({ givenUp }: UnknownCall): boolean {
  return !givenUp;
}

function judgeAbsence(call: UnknownCall, look: AccountLook, timing: Timing, guards: Guards): Verdict {
  const unmet = guards.clean.filter((name) => !CLEAN_CONDITIONS[name](call, look, timing));
  if (unmet.some((name) => name === 'lateEnough' || name === 'apart')) return { kind: 'wait' };
  if (unmet.length > 0) return doubt(call, look, timing, 'lists_never_whole');
  if (!look.showsAsSent) return doubt(call, look, timing, 'shown_otherwise');
  if (leavesTrace(call, look, guards)) return doubt(call, look, timing, 'left_a_trace');
  return { kind: call.cleanLooks + 1 >= guards.cleanLooks ? 'absent' : 'clean' };
}

/** Patience begins with the first answer that is in doubt: TensorPix may have been away for long before. */
function doubt({ doubtedSince }: UnknownCall, { begunAt }: AccountLook, { graceMs }: Timing, cause: Doubt): Verdict {
  if (doubtedSince === null) return { kind: 'doubt', cause };
  const patientUntilMs = doubtedSince.getTime() + PATIENCE_GRACES[cause] * graceMs;
  return begunAt.getTime() < patientUntilMs ? { kind: 'wait' } : { kind: 'undecidable', cause };
}

/** Something at TensorPix that may come from the call, and is no job that could be adopted. */
function leavesTrace(call: UnknownCall, { traces, unowned }: AccountLook, guards: Guards): boolean {
  const fromMs = call.calledAt.getTime() - CLOCK_SLACK_MS;
  return (
    unowned.some((job) => !isAdoptable(job) && couldBeOurs(call, job, guards.exclusions)) ||
    traces.some(
      ({ url, createdAt }) => url === call.observable.url && (createdAt === null || createdAt.getTime() >= fromMs),
    )
  );
}

/**
 * Pairs calls with jobs, each at most once. The latest call chooses first, the job that is nearest in time: what fits a later call
 * fits every earlier one too, so that this leaves the fewest calls without a job.
 */
function nearest(
  calls: UnknownCall[],
  jobs: UnownedJob[],
  fits: (call: UnknownCall, job: UnownedJob) => boolean,
): { call: UnknownCall; job: UnownedJob }[] {
  const pairs = calls.flatMap((call) =>
    jobs
      .filter((job) => fits(call, job))
      .map((job) => ({
        call,
        job,
        distanceMs: Math.abs((job.startedAt ?? call.calledAt).getTime() - call.calledAt.getTime()),
      })),
  );
  const taken = new Set<UnknownCall | UnownedJob>();
  return pairs
    .sort((a, b) => b.call.calledAt.getTime() - a.call.calledAt.getTime() || a.distanceMs - b.distanceMs)
    .filter(({ call, job }) => {
      if (taken.has(call) || taken.has(job)) return false;
      taken.add(call).add(job);
      return true;
    });
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
