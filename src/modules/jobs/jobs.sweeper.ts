import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { LoopRunner } from '../../common/loops/loop-runner.js';
import { waitForAll } from '../../common/loops/wait-for-all.js';
import { ParkedJobsStore } from '../tenants/parked-jobs.store.js';
import { DeliveriesStore } from '../webhooks/deliveries.store.js';
import { IdempotencyKeysStore } from './idempotency/idempotency-keys.store.js';
import { SightingsStore } from './reconciliation/sightings.store.js';
import { RetentionStore, type EndedPosition } from './retention.store.js';

/** A little longer than the contract's 24 hours, so that nobody who counts from the answer is surprised. */
const KEYS_KEPT_HOURS = 25;
/** By then a foreign job is told by its own time of start. */
const SIGHTINGS_KEPT_DAYS = 30;
const ROWS_A_TICK = 1_000;
/** Each has events, deliveries and attempts that go with it. */
const JOBS_A_TICK = 200;
const INTERVAL_MS = 60_000;
/**
 * From the end of a way through all jobs that are old enough to the next: they are kept for days, and what a paused endpoint
 * holds is passed over each time.
 */
const BETWEEN_PASSES_MS = 3_600_000;

/** Removes records whose time is over, a bounded batch at a time, and finishes what a replaced token has left. */
@Injectable()
export class JobsSweeper implements OnApplicationBootstrap {
  /** How far this process has come among the jobs that are old enough; null: begin with the oldest. */
  private reached: EndedPosition | null = null;
  private jobsATick = JOBS_A_TICK;
  private passedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly keys: IdempotencyKeysStore,
    private readonly sightings: SightingsStore,
    private readonly retention: RetentionStore,
    private readonly deliveries: DeliveriesStore,
    private readonly parked: ParkedJobsStore,
    private readonly loops: LoopRunner,
  ) {}

  onApplicationBootstrap(): void {
    this.loops.start('sweeper', INTERVAL_MS, { tick: () => this.tick(), drain: () => Promise.resolve() });
  }

  /** True when there is more to do. What cannot be done keeps nothing else from it. */
  async tick(): Promise<boolean> {
    const { retentionDays } = this.config;
    const removals = [
      this.keys.deleteExpiredAnyTenant(KEYS_KEPT_HOURS, ROWS_A_TICK),
      this.sightings.deleteOldAnyAccount(SIGHTINGS_KEPT_DAYS, ROWS_A_TICK),
      this.deliveries.deleteOldWithoutJobAnyTenant(retentionDays, ROWS_A_TICK),
    ];
    const isFull = removals.map(async (removal) => (await removal) === ROWS_A_TICK);
    const swept = await waitForAll([...isFull, this.removeJobs(retentionDays), this.parked.hurryLeftAnyTenant()]);
    return swept.includes(true);
  }

  /** A batch that is too much for one statement is tried again as a smaller one. */
  private async removeJobs(keptDays: number): Promise<boolean> {
    if (this.reached === null && performance.now() - this.passedAtMs < BETWEEN_PASSES_MS) return false;
    const size = this.jobsATick;
    this.jobsATick = Math.max(1, Math.floor(size / 4));
    const jobs = await this.retention.deleteEndedAnyTenant(keptDays, this.reached, size);
    this.jobsATick = Math.min(JOBS_A_TICK, size * 2);
    this.reached = jobs.found === size ? jobs.last : null;
    if (this.reached === null) this.passedAtMs = performance.now();
    return this.reached !== null;
  }
}
