import { toObservable, type UnownedJob } from '../../src/modules/jobs/reconciliation/could-be-ours.js';
import {
  judge,
  judgedFromMs,
  type AccountLook,
  type Timing,
  type Trace,
} from '../../src/modules/jobs/reconciliation/judgement.js';
import { normalizeUrl } from '../../src/modules/jobs/reconciliation/observable-key.js';
import { unknownCall } from '../../src/modules/jobs/reconciliation/verdict-change.js';
import { T0, at } from '../support/job-records.js';
import type { Protocol } from './protocol.js';
import { REQUESTS } from './requests.js';
import type { Row, SubmissionModel } from './submission-model.js';
import type { ModelJob, TensorpixModel } from './tensorpix-model.js';

/** What goes wrong with an answer of a list: it is an error, or ends before its end. */
export type ReadFault = 'none' | 'failed' | 'cut';

/** How TensorPix's clock and the way to it make times look. */
export interface Weather {
  clockOffsetMs: number;
  answerMs: number;
  /** TensorPix has lists of input videos and of results for us. */
  servesVideos: boolean;
  /** RECONCILE_GRACE_MS */
  graceMs: number;
}

/** What is carried from one answer of a look to the next. */
interface Progress {
  begunMs: number;
  rows: { row: Row; read: Row['record']; equalsSince: Date | null }[];
  newest: number | null;
  next: 'list' | 'beyond' | 'judgement';
  offset: number;
  counts: Set<number>;
  complete: boolean;
  searchedBeyond: boolean;
  listed: Map<number, UnownedJob>;
  /** jobs that only their results tell of */
  found: Map<number, UnownedJob>;
  traces: Trace[];
}

/**
 * Looks at the account, an answer at a time, in the order in which the observer of the production code does, and applies what
 * its `judge` makes of it.
 */
export class AccountLookModel {
  private look: Progress | null = null;
  private readonly sightings = new Map<number, number>();

  constructor(
    private readonly gateway: SubmissionModel,
    private readonly tensorpix: TensorpixModel,
    private readonly protocol: Protocol,
    private readonly timing: Timing,
    private readonly weather: Weather,
  ) {}

  /** The newest job of ours that is under way, as of the look. */
  get newestOwned(): number | null {
    return this.look ? this.look.newest : this.gateway.newestOwned();
  }

  /** Reads the next answer, or judges when everything was read. Returns false when the look has ended. */
  goOn(nowMs: number, fault: ReadFault): boolean {
    if (!this.look && this.gateway.unknown.length === 0) return false;
    this.look ??= this.begin(nowMs);
    const { next } = this.look;
    if (next === 'judgement') this.end(this.look, nowMs);
    else if (fault === 'failed') this.look = null;
    else if (next === 'list') this.readPage(this.look, nowMs, fault === 'cut');
    else this.readBeyond(this.look, nowMs, fault === 'cut');
    return this.look !== null;
  }

  /** What the poller does: it notes the jobs that nobody owns, and the ends of those that we own. */
  poll(nowMs: number): void {
    for (let offset = 0, more = true; more; offset += 2) {
      const { jobs, hasNext } = this.tensorpix.page(nowMs, offset, false);
      this.note(jobs, nowMs);
      more = hasNext;
    }
    for (const { id } of this.tensorpix.jobs.filter(({ state }) => state !== 'listed')) {
      const owner = this.gateway.ownerOf(id);
      if (owner) this.gateway.ended(owner, nowMs);
    }
  }

  private begin(begunMs: number): Progress {
    return {
      begunMs,
      rows: this.gateway.unknown.map((row) => ({
        row,
        read: row.record,
        equalsSince: this.gateway.equalsUnknownSince(row),
      })),
      newest: this.gateway.newestOwned(),
      next: 'list',
      offset: 0,
      counts: new Set(),
      complete: false,
      searchedBeyond: false,
      listed: new Map(),
      found: new Map(),
      traces: [],
    };
  }

  private readPage(look: Progress, nowMs: number, cut: boolean): void {
    const { count, hasNext, jobs } = this.tensorpix.page(nowMs, look.offset, cut);
    for (const job of jobs) look.listed.set(job.id, this.asShown(job, nowMs));
    look.counts.add(count);
    look.offset += jobs.length;
    if (hasNext) return;
    look.complete = look.counts.size === 1 && look.listed.size === count;
    const whole = look.complete || !this.protocol.judged.clean.includes('complete');
    const matters = look.rows.some(
      ({ read, equalsSince }) =>
        judgedFromMs(unknownCall(read, equalsSince), this.timing) <= at(look.begunMs).getTime(),
    );
    look.next = whole && matters ? 'beyond' : 'judgement';
  }

  private readBeyond(look: Progress, nowMs: number, cut: boolean): void {
    look.next = 'judgement';
    look.searchedBeyond = !cut || !this.weather.servesVideos;
    if (cut || !this.weather.servesVideos) return;
    const { inputs, results } = this.tensorpix.videos(nowMs);
    for (const job of results)
      if (!look.listed.has(job.id) && !this.gateway.ownerOf(job.id)) look.found.set(job.id, this.asShown(job, nowMs));
    look.traces = inputs
      .filter(({ id }) => !look.listed.has(id) && !look.found.has(id))
      .map(({ request, madeMs }) => ({
        url: normalizeUrl(REQUESTS[request].video_url),
        createdAt: at(this.corrected(madeMs, nowMs)),
      }));
  }

  private end(look: Progress, nowMs: number): void {
    this.look = null;
    const shown = [...look.listed.values(), ...look.found.values()];
    this.note(shown, nowMs);
    const calls = look.rows.map(({ read, equalsSince }) => unknownCall(read, equalsSince));
    const givenUp = this.protocol.heedsGivenUp ? this.gateway.givenUp.map(({ record }) => unknownCall(record)) : [];
    const verdicts = judge([...calls, ...givenUp], this.asLook(look, shown), this.timing, this.protocol.judged);
    for (const { row, read } of look.rows)
      this.gateway.apply(row, read, verdicts.get(read.id) ?? { kind: 'wait' }, look.begunMs, nowMs);
  }

  private asLook(
    { rows, begunMs, complete, searchedBeyond, newest, listed, traces }: Progress,
    shown: UnownedJob[],
  ): AccountLook {
    return {
      begunAt: at(begunMs),
      complete,
      searchedBeyond,
      holdsNewest: newest === null || listed.has(newest),
      showsAsSent: true,
      unowned: shown
        .filter(({ id }) => !this.gateway.ownerOf(id))
        .map((job) => ({ ...job, firstSeenAt: this.firstSeenAt(job.id) })),
      traces,
      inFlight: this.gateway.keysInFlight(rows.map(({ row }) => row)),
    };
  }

  private note(jobs: { id: number }[], nowMs: number): void {
    for (const { id } of jobs)
      if (!this.gateway.ownerOf(id) && !this.sightings.has(id)) this.sightings.set(id, nowMs + this.weather.answerMs);
  }

  /** When a job was noted first that nobody owned then. */
  firstSeenAt(id: number): Date | null {
    const ms = this.sightings.get(id);
    return ms === undefined ? null : at(ms);
  }

  private asShown(job: ModelJob, nowMs: number): UnownedJob {
    const { video_url: externalUrl, ml_models: modelIds, preview } = REQUESTS[job.request];
    const startedMs = this.tensorpix.startedMs(job, nowMs);
    return {
      id: job.id,
      startedAt: startedMs === null ? null : at(this.corrected(startedMs, nowMs)),
      firstSeenAt: null,
      status: 'queued',
      costCredits: null,
      shown: toObservable({
        externalUrl,
        inputVideoId: job.id,
        modelIds: [...modelIds],
        fields: { preview, codec: null },
      }),
    };
  }

  /** A time by TensorPix's clock, corrected by how far that was off when the answer came; `Date` has whole seconds. */
  private corrected(trueMs: number, nowMs: number): number {
    const { clockOffsetMs, answerMs } = this.weather;
    const dateMs = Math.floor((T0.getTime() + nowMs + clockOffsetMs) / 1_000) * 1_000 - T0.getTime();
    return trueMs + clockOffsetMs + (nowMs + answerMs - dateMs);
  }
}
