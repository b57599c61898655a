import type { RequestName } from './requests.js';

/** What `started` says of a job: when it was made, when work on it began (null before that), or nothing. */
export type StartedStyle = 'made' | 'begun' | 'never';

/** A job in TensorPix's account, charged when it was made. Times are true ones. */
export interface ModelJob {
  id: number;
  request: RequestName;
  /** number of the accepted request whose call made it; null: another system did */
  madeFor: number | null;
  madeMs: number;
  started: StartedStyle;
  /** `finished` and `failed` are not in the list any more, but their input video still is in theirs; `finished` has a result. */
  state: 'listed' | 'finished' | 'failed';
}

export interface ModelPage {
  count: number;
  hasNext: boolean;
  jobs: ModelJob[];
}

const PAGE_SIZE = 2;
const BEGINS_AFTER_MS = 20_000;

/**
 * TensorPix as its documents allow it to be. Bounds that no protocol over a list could do without:
 * - A list is wrong in a way that nothing in it tells (`lapse`: empty, or as it was before) once, and for less than a quarter of the
 *   grace.
 * - A list that stands still for longer (`lag`) lacks the newest of the jobs that the gateway had when it began to look.
 * - New jobs come first in the list. A job that leaves it stays in the list of input videos; where that is not served, none leaves.
 */
export class TensorpixModel {
  readonly jobs: ModelJob[] = [];
  private lapse: { shows: ReadonlySet<number>; untilMs: number } | null = null;
  private lag: ReadonlySet<number> | null = null;

  /** @param newestOwned id of the newest job that the gateway knew to be under way when it began to look */
  constructor(
    private readonly lapseMs: number,
    private readonly newestOwned: () => number | null,
  ) {}

  make(request: RequestName, madeFor: number | null, nowMs: number, started: StartedStyle): ModelJob {
    // Ids need not grow.
    const id = ((this.jobs.length * 7 + 3) % 11) + 100 + 11 * Math.floor(this.jobs.length / 11);
    const job: ModelJob = { id, request, madeFor, madeMs: nowMs, started, state: 'listed' };
    this.jobs.push(job);
    return job;
  }

  /** The list is empty, or without the newest job, for a moment. */
  lapseOnce(shows: 'nothing' | 'past', nowMs: number): void {
    const past = this.listed(this.jobs).slice(0, -1);
    this.lapse ??= { shows: idsOf(shows === 'past' ? past : []), untilMs: nowMs + this.lapseMs };
  }

  standStill(): void {
    this.lag ??= idsOf(this.listed(this.jobs));
  }

  recover(): void {
    this.lag = null;
    if (this.lapse) this.lapse.untilMs = 0;
  }

  /** @param cut the page is shorter than it should be and says that it is the last */
  page(nowMs: number, offset: number, cut: boolean): ModelPage {
    const all = this.listed(this.seen(nowMs));
    const jobs = all.slice(offset, offset + PAGE_SIZE);
    if (cut) return { count: all.length, hasNext: false, jobs: jobs.slice(0, -1) };
    return { count: all.length, hasNext: offset + PAGE_SIZE < all.length, jobs };
  }

  /** The jobs to which the input videos belong, or the results. */
  videos(nowMs: number): { inputs: ModelJob[]; results: ModelJob[] } {
    const inputs = this.seen(nowMs);
    return { inputs, results: inputs.filter(({ state }) => state === 'finished') };
  }

  /** When a job says that it was started, in true time. */
  startedMs({ started, madeMs }: ModelJob, nowMs: number): number | null {
    if (started === 'made') return madeMs;
    return started === 'begun' && madeMs + BEGINS_AFTER_MS <= nowMs ? madeMs + BEGINS_AFTER_MS : null;
  }

  private listed(jobs: ModelJob[]): ModelJob[] {
    return jobs.filter(({ state }) => state === 'listed');
  }

  /** Newest first. */
  private seen(nowMs: number): ModelJob[] {
    const hidden = this.hidden(nowMs);
    return this.jobs.filter(({ id }) => !hidden || hidden.has(id)).reverse();
  }

  private hidden(nowMs: number): ReadonlySet<number> | null {
    if (this.lapse && nowMs < this.lapse.untilMs) return this.lapse.shows;
    const newest = this.newestOwned();
    return this.lag && newest !== null && !this.lag.has(newest) ? this.lag : null;
  }
}

function idsOf(jobs: ModelJob[]): ReadonlySet<number> {
  return new Set(jobs.map(({ id }) => id));
}
