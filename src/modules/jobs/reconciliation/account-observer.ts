import { Injectable } from '@nestjs/common';
import type { DatabaseTime } from '../../../common/time/database-time.js';
import type { InputVideo, ShownJob } from '../../tensorpix/answers.js';
import { isRefusedFor } from '../../tensorpix/call-outcome.js';
import { lookUpJob } from '../../tensorpix/job-lookup.js';
import { TensorpixClient } from '../../tensorpix/tensorpix.client.js';
import { AccountsStore } from './accounts.store.js';
import { CLOCK_SLACK_MS, toObservable, type UnknownCall, type UnownedJob } from './could-be-ours.js';
import { judgedFromMs, type AccountLook, type Timing, type Trace } from './judgement.js';
import {
  clockOffsetMs,
  corrected,
  ListInterrupted,
  readWholeList,
  valueOf,
  type Listed,
  type PageCall,
  type WholeList,
} from './list-reader.js';
import { normalizeUrl, observableKey } from './observable-key.js';
import { SightingsStore } from './sightings.store.js';

export interface ObservationContext {
  accountId: string;
  token: string;
  time: DatabaseTime;
  timing: Timing;
  /** asked before each call to TensorPix */
  mayCall: () => Promise<boolean>;
}

/** Jobs that only a result tells of, asked for by id in one look; the next look goes on with the others. */
const SINGLE_CALLS_A_LOOK = 20;
/** So many that TensorPix cannot show end the calls of a look. */
const SINGLE_FAILURES_A_LOOK = 3;
/** An ended job does not change any more: it is asked for once. */
const MAX_REMEMBERED = 10_000;

/** What TensorPix said of an ended job. */
interface Remembered {
  /** null: it does not know it */
  job: Listed<ShownJob> | null;
  firstAskedAtMs: number;
  /** shown, or unknown twice: a history may lag behind the results */
  final: boolean;
}

interface Searched {
  complete: boolean;
  /** jobs that only their results told of */
  found: Listed<ShownJob>[];
  traces: Trace[];
}

/** Looks at everything that TensorPix shows of an account, so that it can be judged whose a job is, or that it is not there. */
@Injectable()
export class AccountObserver {
  /** by account and id */
  private readonly remembered = new Map<string, Remembered>();

  constructor(
    private readonly tensorpix: TensorpixClient,
    private readonly accounts: AccountsStore,
    private readonly sightings: SightingsStore,
  ) {}

  /** @throws ListInterrupted */
  async look(context: ObservationContext, calls: UnknownCall[]): Promise<AccountLook> {
    const { accountId, time, timing } = context;
    const begunAt = time.now();
    const newest = await this.accounts.findNewestActive(accountId);
    const list = await this.readList(context);
    const open = calls.filter(({ leftToPerson }) => !leftToPerson);
    const matters = list.complete && open.some((call) => judgedFromMs(call, timing) <= begunAt.getTime());
    const beyond = matters ? await this.searchBeyond(context, open, list.entries) : NOT_SEARCHED;
    const jobs = [...list.entries, ...beyond.found];
    const ids = jobs.map(({ item }) => item.id);
    await this.sightings.note(
      accountId,
      beyond.found.map(({ item }) => item.id),
    );
    const firstSeen = await this.sightings.findFirstSeen(accountId, ids);
    // Read after the lists: what bound its id meanwhile is no candidate, and what was sent meanwhile is in flight.
    const [owned, inFlight] = await Promise.all([
      this.accounts.findOwned(accountId, ids),
      this.accounts.findInFlight(
        accountId,
        [...new Set(calls.map(({ key }) => key))],
        calls.map(({ id }) => id),
      ),
    ]);
    return {
      begunAt,
      complete: list.complete,
      searchedBeyond: beyond.complete,
      holdsNewest: newest === null || list.entries.some(({ item }) => item.id === newest),
      showsAsSent: jobs.every(({ item }) => isAsSent(item, owned.get(item.id))),
      unowned: jobs
        .filter(({ item }) => !owned.has(item.id))
        .map((job) => unownedJob(job, firstSeen.get(job.item.id) ?? null)),
      traces: beyond.traces,
      inFlight,
    };
  }

  /** Without a list nothing can be judged; that is no reason to look for ever. */
  private async readList(context: ObservationContext): Promise<WholeList<ShownJob>> {
    const list = await this.readIfServed(context, (limit, offset) => this.listAndNote(context, limit, offset));
    return list.served ? list : { entries: [], complete: false };
  }

  /** What a page has shown is remembered even when the next one does not come. */
  private async listAndNote({ accountId, token }: ObservationContext, limit: number, offset: number) {
    const page = await this.tensorpix.listJobs(token, limit, offset);
    if (page.kind !== 'ok') return page;
    await this.sightings.note(
      accountId,
      page.value.items.map(({ id }) => id),
    );
    // A whole list is held at once: what a job has produced is most of it, and says nothing of whose it is.
    const items = page.value.items.map((item) => ({ ...item, output: null }));
    return { ...page, value: { ...page.value, items } };
  }

  /** An ended job may have left the list: its input video, or its result, has not. */
  private async searchBeyond(
    context: ObservationContext,
    calls: UnknownCall[],
    listed: Listed<ShownJob>[],
  ): Promise<Searched> {
    const { accountId, token } = context;
    const sinceMs = Math.min(...calls.map(({ calledAt }) => calledAt.getTime())) - CLOCK_SLACK_MS;
    const results = await this.readIfServed(context, (limit, offset) =>
      this.tensorpix.listEnhancedVideos(token, limit, offset),
    );
    const known = new Set(listed.map(({ item }) => item.id));
    const recent = results.entries.filter(
      ({ item, clockOffsetMs }) => (corrected(item.created, clockOffsetMs)?.getTime() ?? sinceMs) >= sinceMs,
    );
    const ids = new Set(recent.map(({ item }) => item.jobId).filter((id) => id !== null));
    const unlisted = [...ids].filter((id) => !known.has(id));
    const owned = await this.accounts.findOwned(accountId, unlisted);
    const foreign = await this.findSingles(
      context,
      unlisted.filter((id) => !owned.has(id)),
    );
    const videos = await this.readIfServed(context, (limit, offset) =>
      this.tensorpix.listInputVideos(token, limit, offset),
    );
    const urls = new Set(calls.map(({ observable }) => observable.url));
    const alike = videos.entries.filter(({ item }) => urls.has(normalizeUrl(item.externalUrl ?? '')));
    let found = foreign.found;
    let explainable = true;
    let traces = unexplained(alike, [...listed, ...found]);
    // Jobs of our own that have ended explain videos too; they are asked for only when there is something to explain.
    if (traces.length > 0) {
      const own = await this.findSingles(context, [...owned.keys()]);
      found = [...found, ...own.found];
      explainable = own.complete;
      traces = unexplained(alike, [...listed, ...found]);
    }
    const complete = results.complete && videos.complete && foreign.complete && (explainable || traces.length === 0);
    return { complete, found, traces };
  }

  /** A list that TensorPix does not serve hides nothing that could be found in it. */
  private async readIfServed<T extends { id: number }>({ time, mayCall }: ObservationContext, page: PageCall<T>) {
    try {
      return { ...(await readWholeList(page, time, mayCall)), served: true };
    } catch (error) {
      if (error instanceof ListInterrupted && error.trouble.kind === 'not_served')
        return { entries: [], complete: true, served: false };
      throw error;
    }
  }

  /** Jobs by their ids, those that are remembered and some more. One that TensorPix cannot show hides no other. */
  private async findSingles(context: ObservationContext, ids: number[]) {
    const keyOf = (id: number) => `${context.accountId} ${id}`;
    const asked = ids.filter((id) => this.isToBeAsked(keyOf(id), context.timing)).slice(0, SINGLE_CALLS_A_LOOK);
    if (this.remembered.size + asked.length > MAX_REMEMBERED) this.remembered.clear();
    let failures = 0;
    for (const id of asked) {
      if (failures >= SINGLE_FAILURES_A_LOOK) break;
      try {
        this.remember(keyOf(id), await this.findOne(context, id));
      } catch (error) {
        if (!(error instanceof ListInterrupted && BAD_SINGLE.has(error.trouble.kind))) throw error;
        failures += 1;
      }
    }
    const known = ids.map((id) => this.remembered.get(keyOf(id))).filter((one) => one?.final === true);
    const found = known.map((one) => one?.job ?? null).filter((job) => job !== null);
    return { found, complete: known.length === ids.length };
  }

  private isToBeAsked(key: string, { graceMs }: Timing): boolean {
    const before = this.remembered.get(key);
    return !before || (!before.final && performance.now() - before.firstAskedAtMs >= graceMs / 4);
  }

  private remember(key: string, job: Listed<ShownJob> | null): void {
    const before = this.remembered.get(key);
    const firstAskedAtMs = before?.firstAskedAtMs ?? performance.now();
    this.remembered.set(key, { job, firstAskedAtMs, final: job !== null || before !== undefined });
  }

  private async findOne({ token, time, mayCall }: ObservationContext, id: number): Promise<Listed<ShownJob> | null> {
    if (!(await mayCall())) throw new ListInterrupted({ kind: 'stopped' });
    const outcome = await lookUpJob(this.tensorpix, token, id);
    if (isRefusedFor(outcome, 'not_found')) return null;
    const { value, date } = valueOf(outcome);
    return { item: value, clockOffsetMs: clockOffsetMs(date, time) };
  }
}

/** @param sentKey the observable key of what was sent for it; without one there is nothing to compare */
function isAsSent({ shown: { externalUrl, modelIds } }: ShownJob, sentKey: string | null | undefined): boolean {
  if (!sentKey || externalUrl === null || modelIds === null) return true;
  return observableKey({ video_url: externalUrl, ml_models: modelIds }) === sentKey;
}

/** Input videos that none of these jobs accounts for. */
function unexplained(videos: Listed<InputVideo>[], jobs: Listed<ShownJob>[]): Trace[] {
  const explained = new Set(jobs.map(({ item }) => item.shown.inputVideoId));
  return videos
    .filter(({ item }) => !explained.has(item.id))
    .map(({ item: { externalUrl, created }, clockOffsetMs }) => ({
      url: normalizeUrl(externalUrl ?? ''),
      createdAt: corrected(created, clockOffsetMs),
    }));
}

/** Troubles that may be those of one job only. */
const BAD_SINGLE: ReadonlySet<string> = new Set(['unavailable', 'not_served']);
const NOT_SEARCHED: Searched = { complete: false, found: [], traces: [] };

function unownedJob({ item, clockOffsetMs }: Listed<ShownJob>, firstSeenAt: Date | null): UnownedJob {
  const { id, status, costCredits, started, shown } = item;
  return {
    id,
    status,
    costCredits,
    startedAt: corrected(started, clockOffsetMs),
    firstSeenAt,
    shown: toObservable(shown),
  };
}
