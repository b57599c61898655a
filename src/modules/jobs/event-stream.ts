import { Readable } from 'node:stream';
import { KEEP_ALIVE, STREAM_BEGINNING } from '../../common/http/event-stream.js';
import { isPassing } from '../../common/prisma/database-errors.js';
import { eventText } from './event-resource.js';
import { isAtTensorpix, isTerminal } from './job-state.js';
import type { JobWatch } from './job-watch.js';
import type { JobRef, JobsStore, JobStanding, StoredEvent } from './jobs.store.js';

/** Why a stream has ended. */
export type StreamEnd = 'job_ended' | 'job_gone' | 'reader_gone' | 'key_ended' | 'draining' | 'stalled' | 'failed';

/** What is read from the database, and may wait for its reader, at once. */
const EVENTS_A_BATCH = 100;

/** Where a stream begins. */
export interface Beginning {
  job: JobRef;
  standing: JobStanding;
  /** the newest event that the reader has seen */
  seen: number;
}

/** What a stream reads from, and whether its reader may still read. */
export interface Sources {
  jobs: JobsStore;
  watch: JobWatch;
  /** @throws while nobody knows */
  isAdmitted: () => Promise<boolean>;
  onError: (error: unknown) => void;
}

/**
 * The events of one job for one reader: first what has happened, then what happens, each once and in order, as fast as
 * the reader takes them. At most one batch waits for a reader.
 */
export class EventStream {
  /** What is sent. It ends when there will be no more, or when `end` says so. */
  readonly body = Readable.from(this.chunks());
  /** events sent so far */
  sent = 0;
  private standing: JobStanding;
  private last: number;
  private ended: StreamEnd | null = null;
  private readonly ending = new AbortController();
  /** Since when the reader has not taken what is there for it. */
  private offeredAtMs: number | null = null;

  constructor(
    readonly job: JobRef,
    { standing, seen }: Omit<Beginning, 'job'>,
    private readonly sources: Sources,
    private readonly keepAliveMs: number,
  ) {
    this.standing = standing;
    this.last = seen;
  }

  get endedBy(): StreamEnd | null {
    return this.ended;
  }

  get isAtTensorpix(): boolean {
    return isAtTensorpix(this.standing.status);
  }

  /** How long the reader has left alone what is there for it; 0 when there is nothing. */
  get stalledMs(): number {
    return this.offeredAtMs === null ? 0 : performance.now() - this.offeredAtMs;
  }

  /** Nothing is read any more; what the reader has not taken by now it may still take. The first reason counts. */
  end(reason: StreamEnd): void {
    if (this.ended === null) this.ended = reason;
    this.ending.abort();
  }

  private async *chunks(): AsyncGenerator<string> {
    try {
      for await (const chunk of this.whatHappens()) {
        this.offeredAtMs = performance.now();
        yield chunk;
        this.offeredAtMs = null;
      }
    } catch (error) {
      this.sources.onError(error);
      this.end('failed');
    }
    this.offeredAtMs = performance.now();
  }

  private async *whatHappens(): AsyncGenerator<string> {
    yield STREAM_BEGINNING;
    while (this.ended === null) {
      const events = this.last < this.standing.sequence ? await this.read() : [];
      if (this.ended !== null) return;
      const newest = events.at(-1);
      if (newest) {
        this.last = newest.sequence;
        this.sent += events.length;
        yield events.map(eventText).join('');
      } else if (isTerminal(this.standing.status) && this.last >= this.standing.sequence) this.end('job_ended');
      else if (!(await this.hearNews())) yield KEEP_ALIVE;
    }
  }

  /** The next batch; empty while the database is away: the news that it is back come from the watch. */
  private async read(): Promise<StoredEvent[]> {
    const { jobs, isAdmitted } = this.sources;
    try {
      if (await isAdmitted()) return await jobs.findEvents(this.job.tenantId, this.job.id, this.last, EVENTS_A_BATCH);
      this.end('key_ended');
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
    return [];
  }

  /** False when nothing has happened for so long that a sign of life is due. */
  private async hearNews(): Promise<boolean> {
    const news = await this.sources.watch.wait(this.job, {
      forMs: this.keepAliveMs,
      isNews: ({ status, sequence }) => sequence > this.last || isTerminal(status),
      signal: this.ending.signal,
    });
    if (news === 'gone') this.end('job_gone');
    else if (news) this.standing = news;
    return news !== null || this.ended !== null;
  }
}
