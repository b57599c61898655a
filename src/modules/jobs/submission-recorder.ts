import { Injectable } from '@nestjs/common';
import type { Lease } from '../../common/loops/lease.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import { isUniqueViolation } from '../../common/prisma/database-errors.js';
import { retryWhileAway } from '../../common/prisma/retry-while-away.js';
import { JobChangesStore } from './job-changes.store.js';
import type { KeyEffect } from './idempotency/idempotency.sql.js';
import { withKey, type JobChange } from './job-change.js';
import { isFree, type JobRecord } from './job-record.js';
import type { JobWithTime } from './job-rows.js';
import { JobsStore } from './jobs.store.js';
import { settle, settleLate } from './submission-change.js';
import type { Decision } from './submission-outcome.js';

const TRIES = 5;
/** TensorPix's answer is known only here: it is worth waiting for a database that restarts. Milliseconds. */
const PATIENCE_MS = 30_000;

const NOT_WRITTEN = 'the outcome of a call could not be written';

/** TensorPix gave an id that another row of the account owns: what it did for this row is not known then. */
const ID_OWNED: Decision = {
  kind: 'unconfirm',
  statusReason: 'upstream_unavailable',
  cause: 'id_owned_by_another_job',
  timedOut: false,
};

export interface Told {
  /** the caller is given this outcome, so that a refusal fires no webhook */
  answered: boolean;
  /** what this outcome does to the key with which the caller asked */
  keyEffect: (after: JobRecord, decision: Decision) => KeyEffect | null;
}

/**
 * Writes what a call came to. A decision needs the claim under which the call was made; a fact, such as TensorPix's id,
 * does not (invariant 8). The row may have moved on meanwhile, by a wish to cancel for instance: then it is read again.
 */
@Injectable()
export class SubmissionRecorder {
  constructor(
    private readonly jobs: JobsStore,
    private readonly changes: JobChangesStore,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {}

  /**
   * @param told what the caller gets of it
   * @returns the row as it is then
   * @throws when there is none any more, because a standby that had not got it has taken over; or no database
   */
  async record(claimed: JobWithTime, outcome: Decision, lease: Lease, told: Told): Promise<JobRecord> {
    const { tenantId, id } = claimed.job;
    // What TensorPix made is known only here: whoever has to find it again finds it in the log.
    const known = { job_id: id, tenant_id: tenantId, ...madeBy(outcome) };
    try {
      return await this.tryToRecord(claimed, outcome, lease, told, known);
    } catch (error) {
      this.logger.error(known, NOT_WRITTEN);
      throw error;
    }
  }

  /** @param known what the log is told of a call whose outcome cannot be written as it is */
  private async tryToRecord(
    claimed: JobWithTime,
    outcome: Decision,
    lease: Lease,
    told: Told,
    known: Record<string, unknown>,
  ): Promise<JobRecord> {
    const { tenantId, id } = claimed.job;
    let current: JobWithTime | null = claimed;
    let decision = outcome;
    for (let tries = 0; tries < TRIES && current; tries += 1) {
      const { job, time } = current;
      const holds = job.leaseToken === lease.token;
      const settled = holds
        ? settle(job, decision, time.now(), told.answered)
        : settleLate(job, decision, time.now(), await this.hasMoved(job, claimed.job.accountId, decision));
      if (!holds) this.metrics.lostLeases.inc({ loop: 'submission' });
      if (!settled) return job;
      const change = withKey(settled, told.keyEffect(settled.after, decision));
      try {
        const fence = holds ? { sendLease: lease.token } : {};
        if (await retryWhileAway(PATIENCE_MS, () => this.changes.apply(change, fence))) return this.noted(change);
      } catch (error) {
        if (!isUniqueViolation(error)) throw error;
        this.logger.error(known, 'TensorPix answered with the id of another job');
        decision = ID_OWNED;
      }
      current = await retryWhileAway(PATIENCE_MS, () => this.jobs.findRecord(tenantId, id));
    }
    if (!current) throw new Error('the row of a job that was sent is gone');
    this.logger.error(known, NOT_WRITTEN);
    return current.job;
  }

  /** Changes a claimed row that was not sent, as long as the claim holds. Returns the row as it is then. */
  async putBack(
    claimed: JobWithTime,
    lease: Lease,
    changeOf: (job: JobRecord, now: Date) => JobChange,
  ): Promise<JobRecord> {
    let current: JobWithTime | null = claimed;
    for (let tries = 0; tries < TRIES && current?.job.leaseToken === lease.token; tries += 1) {
      const change = changeOf(current.job, current.time.now());
      const written = await retryWhileAway(PATIENCE_MS, () => this.changes.apply(change, { sendLease: lease.token }));
      if (written) return this.noted(change);
      current = await retryWhileAway(PATIENCE_MS, () => this.jobs.findRecord(claimed.job.tenantId, claimed.job.id));
    }
    return current?.job ?? claimed.job;
  }

  /**
   * Whether a row belongs to another account than the one that it was called for. One that waits to be sent anew does so as soon
   * as its tenant does: it takes the tenant's account with its next claim.
   */
  private async hasMoved({ tenantId, accountId, status }: JobRecord, calledFor: string, { kind }: Decision) {
    if (kind !== 'bind') return false;
    if (accountId !== calledFor) return true;
    if (status !== 'submitting') return false;
    return (await retryWhileAway(PATIENCE_MS, () => this.jobs.findAccountOf(tenantId))) !== calledFor;
  }

  private noted({ after, events }: JobChange): JobRecord {
    const { id: job_id, tenantId: tenant_id, status } = after;
    if (status === 'unconfirmed') this.logger.warn({ job_id, tenant_id }, 'a call of unknown outcome: unconfirmed');
    // A second free image is in the events; nobody has paid for it.
    if (events.some(({ type }) => type.endsWith('.upstream_duplicate')) && !isFree(after)) {
      this.metrics.upstreamDuplicates.inc();
      this.logger.error({ job_id, tenant_id }, 'TensorPix made a second job for one row');
    }
    return after;
  }
}

/** What TensorPix has made, by its own name. */
function madeBy(decision: Decision): { tensorpix_id?: number; enhanced_img_id?: string } {
  if (decision.kind === 'bind') return { tensorpix_id: decision.created.id };
  return decision.kind === 'finish' ? { enhanced_img_id: decision.image.id } : {};
}
