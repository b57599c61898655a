import type { ShownRequest, UpstreamStatus } from '../../tensorpix/answers.js';
import { modelSet, normalizeUrl, type Observable } from './observable-key.js';

/** What TensorPix shows of a job's request; null is not shown. */
export interface ShownObservable {
  /** normalised */
  url: string | null;
  /** ascending, each once */
  modelIds: number[] | null;
  /** Of the other fields those that have the names of the request's. */
  fields: Record<string, unknown>;
}

/** Once a job, not once a comparison: each call is compared with each job. */
export function toObservable({ externalUrl, modelIds, fields }: ShownRequest): ShownObservable {
  return {
    url: externalUrl === null ? null : normalizeUrl(externalUrl),
    modelIds: modelIds === null ? null : modelSet(modelIds),
    fields,
  };
}

/** A row whose call may have made a job. Times are the database's. */
export interface UnknownCall {
  id: string;
  /** equal for rows that TensorPix's list cannot tell apart */
  key: string;
  observable: Observable;
  input: Record<string, unknown>;
  /** not after the call began */
  calledAt: Date;
  /** not before the call ended */
  unknownSince: Date;
  /** the latest such time of all rows that the list cannot tell from this one, known by now or not */
  equalsUnknownSince: Date;
  cleanLooks: number;
  /** when the newest clean look ended */
  cleanLookAt: Date | null;
  /** since when looks that count have shown what is not whole, or cannot be explained */
  doubtedSince: Date | null;
  /** a person has been asked: only what can be adopted is of interest still */
  leftToPerson: boolean;
  /** a person has given it up: nothing is looked for any more, and what it may have made is not for whoever asked for something else */
  givenUp: boolean;
}

/** A job that TensorPix showed and that no row of the account owned. Times are the database's. */
export interface UnownedJob {
  id: number;
  /** TensorPix's own time, corrected by how far its clock was off in that answer; perhaps too late, by what the answers took */
  startedAt: Date | null;
  /** when any look showed it first */
  firstSeenAt: Date | null;
  status: UpstreamStatus | null;
  costCredits: string | null;
  shown: ShownObservable;
}

/** What a corrected time may be too early by: TensorPix may cut it to the second, and tell it by another clock than its `Date`. */
export const CLOCK_SLACK_MS = 2_000;

type Rule = (call: UnknownCall, job: UnownedJob) => boolean;

/** What shows that a job was not made by a call. What TensorPix does not show contradicts nothing. */
export const EXCLUSIONS = {
  startedBeforeCall: ({ calledAt }, { startedAt }) =>
    startedAt !== null && startedAt.getTime() < calledAt.getTime() - CLOCK_SLACK_MS,
  seenBeforeCall: ({ calledAt }, { firstSeenAt }) => firstSeenAt !== null && firstSeenAt < calledAt,
  otherUrl: ({ observable }, { shown }) => shown.url !== null && shown.url !== observable.url,
  otherModels: ({ observable }, { shown }) =>
    shown.modelIds !== null && shown.modelIds.join() !== observable.modelIds.join(),
  otherFields: ({ input }, { shown }) =>
    Object.entries(shown.fields).some(([name, value]) => differs(input[name], value)),
} satisfies Record<string, Rule>;

export type Exclusion = keyof typeof EXCLUSIONS;

export const ALL_EXCLUSIONS = Object.keys(EXCLUSIONS) as Exclusion[];

/** Whether nothing excludes that this call made that job. */
export function couldBeOurs(call: UnknownCall, job: UnownedJob, exclusions: readonly Exclusion[]): boolean {
  return !exclusions.some((name) => EXCLUSIONS[name](call, job));
}

/** What does not show its URL and its models could be anybody's: it stands against sending again, and is never adopted. */
export function isAdoptable({ shown }: UnownedJob): boolean {
  return shown.url !== null && shown.modelIds !== null;
}

/** Numbers compare as numbers, whatever text TensorPix writes them as. */
function differs(sent: unknown, shown: unknown): boolean {
  if (sent === undefined || sent === null || shown === null || shown === undefined) return false;
  if (typeof sent === 'number') return Math.abs(sent - Number(shown)) > 1e-6;
  return JSON.stringify(sent) !== JSON.stringify(shown);
}
