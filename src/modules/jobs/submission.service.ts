import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Lease } from '../../common/loops/lease.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import { isUniqueViolation } from '../../common/prisma/database-errors.js';
import type { DatabaseTime } from '../../common/time/database-time.js';
import { TenantTokens, type OpenToken } from '../tenants/tenant-tokens.js';
import type { CallOutcome } from '../tensorpix/call-outcome.js';
import { TensorpixClient } from '../tensorpix/tensorpix.client.js';
import { JobChangesStore } from './job-changes.store.js';
import { changeJob, type JobChange } from './job-change.js';
import type { JobRecord } from './job-record.js';
import { isTerminal } from './job-state.js';
import { JobsStore, type JobWithTime } from './jobs.store.js';
import { settle } from './submission-change.js';
import { decide, type Decision, type SubmissionResult } from './submission-outcome.js';
import { TenantPaceStore } from './tenant-pace.store.js';

/** Above the call's timeout, for the statement that settles; invariant 8 allows at most 15 s. Milliseconds. */
const LEASE_MARGIN_MS = 10_000;
/** What the last check before a call leaves for the statement that settles it. Milliseconds. */
const SETTLE_MS = 2_000;
const BIND_TRIES = 5;

/** Who waits for the answer of a submission. */
export interface Caller {
  strict: boolean;
  /** Claims the answer: true when the caller still waits and will be given this outcome. */
  takeAnswer: () => boolean;
}

/** What a submission came to. */
export interface Submitted {
  job: JobRecord;
  decision: Decision | null;
  retryAfterMs: number | null;
}

const NOBODY: Caller = { strict: false, takeAnswer: () => false };

/** Sends one claimed job to TensorPix and writes down what came of it: the second transaction of a create. */
@Injectable()
export class SubmissionService {
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly tensorpix: TensorpixClient,
    private readonly tokens: TenantTokens,
    private readonly jobs: JobsStore,
    private readonly changes: JobChangesStore,
    private readonly pace: TenantPaceStore,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {}

  /** A claim that lasts for one call and its settlement. */
  newLease(): Lease {
    return new Lease(this.config.tensorpixTimeoutMs + LEASE_MARGIN_MS);
  }

  /**
   * Makes the one call that this claim allows. Never throws for what TensorPix does; a database that is away leaves the
   * row with its lease, which makes it unconfirmed when it expires.
   */
  submit({ job, time }: JobWithTime, token: OpenToken, lease: Lease, caller: Caller = NOBODY): Promise<Submitted> {
    const submission = this.run(job, time, token, lease, caller);
    this.underWay.add(submission);
    const forget = () => this.underWay.delete(submission);
    submission.then(forget, forget);
    return submission;
  }

  /** Waits until no call is under way. */
  async drain(): Promise<void> {
    while (this.underWay.size > 0) await Promise.allSettled(this.underWay);
  }

  private async run(
    job: JobRecord,
    time: DatabaseTime,
    token: OpenToken,
    lease: Lease,
    caller: Caller,
  ): Promise<Submitted> {
    if (!lease.covers(this.config.tensorpixTimeoutMs + SETTLE_MS)) return this.giveUp(job, time, lease);
    const outcome = await this.call(job, token.token);
    const decision = decide(job, outcome, caller.strict);
    await this.noteAboutTenant(job, token, outcome, decision);
    const answered = caller.takeAnswer();
    const change = settle(job, decision, time.now(), answered);
    const retryAfterMs = outcome.kind === 'refused' ? outcome.refusal.retryAfterMs : null;
    return { job: await this.write(change, decision, lease), decision, retryAfterMs };
  }

  private call(job: JobRecord, token: string): Promise<CallOutcome<SubmissionResult>> {
    return job.kind === 'video'
      ? this.tensorpix.enhanceVideo(token, job.input)
      : this.tensorpix.enhanceImage(token, job.input);
  }

  /** The claim is too old for a call: the row goes back, unsent. */
  private async giveUp(job: JobRecord, time: DatabaseTime, lease: Lease): Promise<Submitted> {
    this.metrics.lostLeases.inc({ loop: 'submission' });
    const change = changeJob(
      job,
      { dueAt: time.now(), leaseToken: null, leaseExpiresAt: null, statusReason: null, attempt: job.attempt - 1 },
      time.now(),
      { steps: [{ name: 'claim_released' }] },
    );
    await this.changes.apply(change, { sendLease: lease.token });
    return { job: change.after, decision: null, retryAfterMs: null };
  }

  private async noteAboutTenant(
    job: JobRecord,
    token: OpenToken,
    outcome: CallOutcome<unknown>,
    decision: Decision,
  ): Promise<void> {
    if (outcome.kind === 'refused' && outcome.refusal.reason === 'token_rejected')
      await this.tokens.noteRejected(job.tenantId, token);
    if (decision.kind === 'park' && decision.rests)
      await this.pace.rest(job.tenantId, decision.retryInMs, decision.reason);
  }

  /** Writes under the claim. A decision needs the claim; a fact, such as TensorPix's id, does not. */
  private async write(change: JobChange, decision: Decision, lease: Lease): Promise<JobRecord> {
    try {
      if (await this.changes.apply(change, { sendLease: lease.token })) return this.written(change);
      return await this.writeFact(change.before, decision);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      return this.ownedByAnother(change.before, lease, error);
    }
  }

  /** The row has moved on while the call was under way: what TensorPix made still binds when nothing else has. */
  private async writeFact(before: JobRecord, decision: Decision): Promise<JobRecord> {
    this.metrics.lostLeases.inc({ loop: 'submission' });
    for (let tries = 0; tries < BIND_TRIES; tries += 1) {
      const current = await this.jobs.findRecord(before.tenantId, before.id);
      if (!current || (decision.kind !== 'bind' && decision.kind !== 'finish')) return current?.job ?? before;
      const change = factChange(current.job, decision, current.time.now());
      if (await this.changes.apply(change)) return this.written(change);
    }
    this.logger.error({ job_id: before.id }, 'a TensorPix job could not be bound to its row');
    return before;
  }

  /** TensorPix gave an id that another row of the account owns: nothing about this row is known then. */
  private async ownedByAnother(before: JobRecord, lease: Lease, cause: unknown): Promise<JobRecord> {
    this.logger.error({ err: cause, job_id: before.id }, 'TensorPix answered with the id of another job');
    const current = await this.jobs.findRecord(before.tenantId, before.id);
    if (!current || current.job.status !== 'submitting') return current?.job ?? before;
    const patch = {
      status: 'unconfirmed',
      statusReason: 'outcome_unknown',
      leaseToken: null,
      leaseExpiresAt: null,
    } as const;
    const change = changeJob(current.job, patch, current.time.now(), { data: { reason: 'id_owned_by_another_job' } });
    return (await this.changes.apply(change, { sendLease: lease.token })) ? this.written(change) : current.job;
  }

  private written({ before, after }: JobChange): JobRecord {
    if (after.status !== before.status) this.metrics.transitions.inc({ kind: after.kind, status: after.status });
    if (after.status === 'unconfirmed')
      this.logger.warn(
        { job_id: after.id, tenant_id: after.tenantId },
        'a call of unknown outcome: the job is unconfirmed',
      );
    return after;
  }
}

/** A late answer for a row as it is now: bound when it has no id yet, else recorded as a duplicate. */
function factChange(
  current: JobRecord,
  decision: Extract<Decision, { kind: 'bind' | 'finish' }>,
  now: Date,
): JobChange {
  const duplicate = decision.kind === 'bind' ? current.tensorpixId !== null : isTerminal(current.status);
  if (!duplicate && !isTerminal(current.status)) return settle(current, decision, now, false);
  const data =
    decision.kind === 'bind' ? { tensorpix_id: decision.created.id } : { enhanced_img_id: decision.image.id };
  const bound =
    decision.kind === 'bind' && !duplicate
      ? { tensorpixId: decision.created.id, costCredits: decision.created.costCredits }
      : {};
  return changeJob(current, bound, now, { steps: [{ name: duplicate ? 'upstream_duplicate' : 'bound_late', data }] });
}
