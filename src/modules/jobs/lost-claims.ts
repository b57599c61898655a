import { Injectable } from '@nestjs/common';
import { setTimeout as pause } from 'node:timers/promises';
import { Draining } from '../../common/draining.js';
import { Logger } from '../../common/logging/logger.js';
import type { Lease } from '../../common/loops/lease.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { isPassing } from '../../common/prisma/database-errors.js';
import type { JobChange } from './job-change.js';
import { JobClaimsStore } from './job-claims.store.js';
import type { JobRecord } from './job-record.js';
import type { JobWithTime } from './job-rows.js';
import { SubmissionRecorder } from './submission-recorder.js';

interface LostClaim {
  lease: Lease;
  /** how its rows are put back */
  changeOf: (job: JobRecord, now: Date) => JobChange;
  untilMs: number;
}

/** A statement that was not answered may commit later than this process has looked; a database that is away may stay so. */
const INTERVAL_MS = 1_000;
/** Above its lease, for a claim whose database comes back when it has expired and is not settled yet. */
const BEYOND_LEASE_MS = 30_000;

/**
 * Claims of this process whose statement was not answered. It does not know which rows they hold, and has sent none of them: these
 * are put back, instead of being taken for sent when the lease expires.
 */
@Injectable()
export class LostClaims {
  private readonly lost = new Map<string, LostClaim>();
  private running: Promise<void> | null = null;

  constructor(
    private readonly claims: JobClaimsStore,
    private readonly recorder: SubmissionRecorder,
    private readonly wakeUps: WakeUps,
    private readonly draining: Draining,
    private readonly logger: Logger,
  ) {}

  /** @param lease one under which nothing was sent and nothing will be */
  add(lease: Lease, changeOf: LostClaim['changeOf']): void {
    const untilMs = performance.now() + lease.durationMs + BEYOND_LEASE_MS;
    this.lost.set(lease.token, { lease, changeOf, untilMs });
    this.running ??= this.run();
  }

  /** Looks once more. What is not found then expires with its lease. */
  async drain(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    for (;;) {
      const last = this.draining.begun;
      await this.putBackFound().catch((error: unknown) => {
        if (!isPassing(error)) this.logger.error({ err: error }, 'lost claims could not be put back yet');
      });
      for (const [token, { untilMs }] of this.lost) if (untilMs < performance.now()) this.lost.delete(token);
      if (last || this.lost.size === 0) break;
      await pause(INTERVAL_MS);
    }
    // Together with the last look at what is lost: what is added from here on begins anew.
    this.running = null;
  }

  private async putBackFound(): Promise<void> {
    const found = await this.claims.findHeldAnyTenant([...this.lost.keys()]);
    if (found.length === 0) return;
    await Promise.all(found.map((row) => this.putBack(row)));
    // A claim is one statement: all of its rows were found.
    for (const { job } of found) this.lost.delete(job.leaseToken ?? '');
    this.wakeUps.ring('submissions');
    this.logger.warn({ jobs: found.length }, 'claims whose answer was lost were put back');
  }

  private async putBack(row: JobWithTime): Promise<void> {
    const claim = this.lost.get(row.job.leaseToken ?? '');
    if (claim) await this.recorder.putBack(row, claim.lease, claim.changeOf);
  }
}
