import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Draining } from '../../common/draining.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import { JobsStore, type JobRef, type JobStanding } from './jobs.store.js';

const ROUND_MS = 500;
/** Jobs that one statement asks for. */
const MOST_A_STATEMENT = 1_000;

/** How to wait for a job. */
export interface Wait {
  forMs: number;
  /** Says whether this is what is waited for. */
  isNews: (standing: JobStanding) => boolean;
  signal?: AbortSignal;
}

interface Waiter {
  isNews: (standing: JobStanding) => boolean;
  settle: (news: JobStanding | 'gone' | null) => void;
}

interface Watched {
  job: JobRef;
  waiters: Set<Waiter>;
}

/**
 * Waits for news of jobs, for whoever in this process wants them: however many wait, the jobs are asked for together,
 * about twice a second, and nothing is asked for when nobody waits.
 *
 * What is compared is how a job stands, not what has just happened to it: nothing is lost that happens between two
 * waits, or while a round is under way. A round that fails is left out.
 */
@Injectable()
export class JobWatch implements OnModuleDestroy {
  private readonly watched = new Map<string, Watched>();
  private timer: NodeJS.Timeout | null = null;
  private round: Promise<void> | null = null;
  private failing = false;

  constructor(
    private readonly jobs: JobsStore,
    private readonly draining: Draining,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {
    draining.onBegin(() => this.releaseAll());
  }

  async onModuleDestroy(): Promise<void> {
    this.releaseAll();
    if (this.timer) clearTimeout(this.timer);
    await this.round;
  }

  /** Resolves with how the job stands once that is news; `gone`: there is no such job; null: the wait is over. */
  wait(job: JobRef, { forMs, isNews, signal }: Wait): Promise<JobStanding | 'gone' | null> {
    if (this.draining.begun || signal?.aborted || forMs <= 0) return Promise.resolve(null);
    return new Promise((resolve) => {
      const giveUp = (): void => waiter.settle(null);
      const patience = setTimeout(giveUp, forMs);
      const waiter: Waiter = {
        isNews,
        settle: (news) => {
          clearTimeout(patience);
          signal?.removeEventListener('abort', giveUp);
          this.remove(job, waiter);
          resolve(news);
        },
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      this.add(job, waiter);
    });
  }

  private add(job: JobRef, waiter: Waiter): void {
    const watched = this.watched.get(keyOf(job)) ?? { job, waiters: new Set() };
    this.watched.set(keyOf(job), watched);
    watched.waiters.add(waiter);
    this.plan();
  }

  private remove(job: JobRef, waiter: Waiter): void {
    const watched = this.watched.get(keyOf(job));
    watched?.waiters.delete(waiter);
    if (watched?.waiters.size === 0) this.watched.delete(keyOf(job));
  }

  private releaseAll(): void {
    for (const { waiters } of [...this.watched.values()]) for (const waiter of [...waiters]) waiter.settle(null);
  }

  /** One round at a time, and none that nobody waits for. */
  private plan(): void {
    if (this.timer || this.round || this.watched.size === 0) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.round = this.look().finally(() => {
        this.round = null;
        this.plan();
      });
    }, ROUND_MS);
    this.timer.unref();
  }

  private async look(): Promise<void> {
    // Who comes while the statement runs may know more than it has seen, and waits for the next one.
    const asked = [...this.watched.values()].map(({ job, waiters }) => ({ job, waiters: [...waiters] }));
    try {
      for (let from = 0; from < asked.length; from += MOST_A_STATEMENT)
        await this.ask(asked.slice(from, from + MOST_A_STATEMENT));
      this.failing = false;
    } catch (error) {
      this.metrics.loopErrors.inc({ loop: 'job_watch' });
      if (!this.failing) this.logger.warn({ err: error }, 'jobs that are waited for cannot be looked at; tried again');
      this.failing = true;
    }
  }

  private async ask(asked: { job: JobRef; waiters: Waiter[] }[]): Promise<void> {
    const rows = await this.jobs.findStandings(asked.map(({ job }) => job));
    const standings = new Map(rows.map((row) => [keyOf(row), row]));
    for (const { job, waiters } of asked) {
      const standing = standings.get(keyOf(job));
      for (const waiter of waiters) if (!standing || waiter.isNews(standing)) waiter.settle(standing ?? 'gone');
    }
  }
}

function keyOf({ tenantId, id }: JobRef): string {
  return `${tenantId}/${id}`;
}
