import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { LoopRunner } from '../../common/loops/loop-runner.js';
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

/** Removes records whose time is over, a bounded batch at a time. */
@Injectable()
export class JobsSweeper implements OnApplicationBootstrap {
  /** How far this process has come among the jobs that are old enough; null: begin with the oldest. */
  private reached: EndedPosition | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly keys: IdempotencyKeysStore,
    private readonly sightings: SightingsStore,
    private readonly retention: RetentionStore,
    private readonly loops: LoopRunner,
  ) {}

  onApplicationBootstrap(): void {
    this.loops.start('sweeper', INTERVAL_MS, { tick: () => this.tick(), drain: () => Promise.resolve() });
  }

  /** True when there is more to remove. */
  async tick(): Promise<boolean> {
    const keys = await this.keys.deleteExpiredAnyTenant(KEYS_KEPT_HOURS, ROWS_A_TICK);
    const sightings = await this.sightings.deleteOldAnyAccount(SIGHTINGS_KEPT_DAYS, ROWS_A_TICK);
    const jobs = await this.retention.deleteEndedAnyTenant(this.config.retentionDays, this.reached, JOBS_A_TICK);
    this.reached = jobs.found === JOBS_A_TICK ? jobs.last : null;
    return keys === ROWS_A_TICK || sightings === ROWS_A_TICK || this.reached !== null;
  }
}
