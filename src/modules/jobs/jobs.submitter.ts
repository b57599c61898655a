import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Logger } from '../../common/logging/logger.js';
import { LoopRunner } from '../../common/loops/loop-runner.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { UnderWay } from '../../common/loops/under-way.js';
import { isDatabaseAway } from '../../common/prisma/database-errors.js';
import { Occupancy } from '../../common/loops/occupancy.js';
import type { Lease } from '../../common/loops/lease.js';
import { TenantTokens, type OpenToken } from '../tenants/tenant-tokens.js';
import { JobChangesStore } from './job-changes.store.js';
import { JobClaimsStore, type ClaimedJob, type Claims } from './job-claims.store.js';
import { LostClaims } from './lost-claims.js';
import type { JobChange } from './job-change.js';
import type { JobRecord } from './job-record.js';
import { expireSource, settleExpired, unsent } from './submission-change.js';
import { SubmissionRecorder } from './submission-recorder.js';
import { SubmissionService } from './submission.service.js';
import { TenantRing } from './tenant-ring.js';
import type { Turn } from './turns.sql.js';

const INTERVAL_MS = 1_000;
/** Calls under way at once in this process, those of waiting callers not counted. */
const MAX_IN_FLIGHT = 64;
/** Of these, for one tenant: one whose calls are slow costs so many places and no more. */
const MAX_IN_FLIGHT_A_TENANT = 8;
const EXPIRED_A_TICK = 100;
const UNREADABLE_TOKEN_PAUSE_MS = 60_000;

/**
 * Sends what still has to be sent: asynchronous creates, parked jobs, free images to repeat. It also finds the rows
 * whose sender died, which it must never send itself: their outcome is unknown.
 */
@Injectable()
export class JobsSubmitter implements OnApplicationBootstrap {
  private readonly underWay = new UnderWay();
  private readonly tenants = new Occupancy();
  private readonly ring = new TenantRing();
  private wake: () => void = () => undefined;

  constructor(
    private readonly claims: JobClaimsStore,
    private readonly changes: JobChangesStore,
    private readonly submissions: SubmissionService,
    private readonly recorder: SubmissionRecorder,
    private readonly lostClaims: LostClaims,
    private readonly tokens: TenantTokens,
    private readonly loops: LoopRunner,
    private readonly wakeUps: WakeUps,
    private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    const kick = this.loops.start('submitter', INTERVAL_MS, { tick: () => this.tick(), drain: () => this.drain() });
    this.wake = () => {
      this.ring.beginAnew();
      kick();
    };
    this.wakeUps.on('submissions', this.wake);
  }

  async tick(): Promise<boolean> {
    await this.settleExpired();
    const room = MAX_IN_FLIGHT - this.underWay.size;
    if (room <= 0) return false;
    const lease = this.submissions.newLease();
    const busy = this.tenants.busy(MAX_IN_FLIGHT_A_TENANT);
    const turn = { ...this.ring.stretch, limit: room, most: MAX_IN_FLIGHT_A_TENANT, busy };
    const { jobs, putOff, walk } = await this.claim(lease, turn);
    for (const job of jobs) this.start(job, lease);
    return this.ring.goOn(walk, jobs.length + putOff > 0);
  }

  /** What a claim holds whose answer did not come, this process has not sent. */
  private async claim(lease: Lease, turn: Turn): Promise<Claims> {
    try {
      return await this.claims.claimDueAnyTenant(lease, turn);
    } catch (error) {
      if (isDatabaseAway(error)) this.lostClaims.add(lease, unsent);
      throw error;
    }
  }

  async drain(): Promise<void> {
    await this.underWay.drain();
  }

  private async settleExpired(): Promise<void> {
    const expired = await this.claims.findExpiredSendsAnyTenant(EXPIRED_A_TICK);
    const settled = expired.map(({ job, time }) => this.changes.apply(settleExpired(job, time.now())));
    // One row that cannot be written must not keep the others from being sent.
    for (const result of await Promise.allSettled(settled)) {
      if (result.status === 'rejected')
        this.logger.error({ err: result.reason }, 'an expired submission could not be settled');
    }
  }

  private start(claimed: ClaimedJob, lease: Lease): void {
    const { tenantId } = claimed.job;
    this.tenants.enter(tenantId);
    const sending = this.send(claimed, lease).catch((error: unknown) =>
      this.logger.error({ err: error, job_id: claimed.job.id }, 'a submission could not be recorded'),
    );
    this.underWay.add(sending, () => {
      this.tenants.leave(tenantId);
      this.wake();
    });
  }

  private async send(claimed: ClaimedJob, lease: Lease): Promise<void> {
    const { job, time } = claimed;
    if (job.sourceExpiresAt !== null && job.sourceExpiresAt <= time.now()) {
      await this.recorder.putBack(claimed, lease, expireSource);
      return;
    }
    const token = this.openToken(claimed);
    if (token) await this.submissions.submit(claimed, token, lease);
    else await this.recorder.putBack(claimed, lease, postponed);
  }

  /** Null when no configured key opens it: a matter of the operator's, which must not make the job's outcome unknown. */
  private openToken({ job, tokenCiphertext }: ClaimedJob): OpenToken | null {
    try {
      return this.tokens.open(job.tenantId, tokenCiphertext);
    } catch (error) {
      this.logger.error({ err: error, tenant_id: job.tenantId }, 'the token of a tenant cannot be decrypted');
      return null;
    }
  }
}

function postponed(job: JobRecord, now: Date): JobChange {
  return unsent(job, now, new Date(now.getTime() + UNREADABLE_TOKEN_PAUSE_MS));
}
