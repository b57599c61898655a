import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Lease } from '../../common/loops/lease.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import type { DatabaseTime } from '../../common/time/database-time.js';
import { TenantTokens, type OpenToken } from '../tenants/tenant-tokens.js';
import { isRefusedFor, type CallOutcome } from '../tensorpix/call-outcome.js';
import { TensorpixClient } from '../tensorpix/tensorpix.client.js';
import type { KeyEffect } from './idempotency/idempotency.sql.js';
import { withKey } from './job-change.js';
import type { JobRecord } from './job-record.js';
import type { JobWithTime } from './job-rows.js';
import { LostClaims } from './lost-claims.js';
import { unsent, unsentStrict } from './submission-change.js';
import { decide, type Decision, type SubmissionResult } from './submission-outcome.js';
import { SubmissionRecorder } from './submission-recorder.js';
import { TenantPaceStore } from './polling/tenant-pace.store.js';

/** Above the call's timeout, for the statement that settles; invariant 8 allows at most 15 s. Milliseconds. */
const LEASE_MARGIN_MS = 10_000;
/** What the last check before a call leaves for the statement that settles it. Milliseconds. */
const SETTLE_MS = 2_000;

/** Who waits for the answer of a submission. */
export interface Caller {
  strict: boolean;
  /** Claims the answer: true when the caller still waits and will be given this outcome. */
  takeAnswer: () => boolean;
  /** What this outcome does to the key with which the caller asked; null when there is none. */
  keyEffect: (submitted: Submitted) => KeyEffect | null;
}

/** What a submission came to. */
export interface Submitted {
  job: JobRecord;
  decision: Decision | null;
  retryAfterMs: number | null;
}

const NOBODY: Caller = { strict: false, takeAnswer: () => false, keyEffect: () => null };

/** Sends one claimed job to TensorPix and writes down what came of it: the second transaction of a create. */
@Injectable()
export class SubmissionService {
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly tensorpix: TensorpixClient,
    private readonly tokens: TenantTokens,
    private readonly recorder: SubmissionRecorder,
    private readonly lostClaims: LostClaims,
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

  /** Waits until no call is under way, and no claim is being put back. */
  async drain(): Promise<void> {
    while (this.underWay.size > 0) await Promise.allSettled(this.underWay);
    await this.lostClaims.drain();
  }

  private async run(
    job: JobRecord,
    time: DatabaseTime,
    token: OpenToken,
    lease: Lease,
    caller: Caller,
  ): Promise<Submitted> {
    if (!lease.covers(this.config.tensorpixTimeoutMs + SETTLE_MS)) return this.giveUp({ job, time }, lease, caller);
    const outcome = await this.call(job, token.token, lease);
    if (outcome.kind === 'not_sent' && outcome.reason === 'too_late') return this.giveUp({ job, time }, lease, caller);
    const decision = decide(job, outcome, caller.strict);
    const retryAfterMs = outcome.kind === 'refused' ? outcome.refusal.retryAfterMs : null;
    const written = await this.recorder.record({ job, time }, decision, lease, {
      answered: caller.takeAnswer(),
      keyEffect: (after, taken) => caller.keyEffect({ job: after, decision: taken, retryAfterMs }),
    });
    // The outcome is committed: a note that fails must not hide it from the caller.
    await this.noteAboutTenant(job, token, outcome, decision).catch((error: unknown) =>
      this.logger.error({ err: error, tenant_id: job.tenantId }, 'a note about a tenant could not be written'),
    );
    return { job: written, decision, retryAfterMs };
  }

  /** The claim is looked at once more when the call has its connection: what is too late by then is not written. */
  private call(job: JobRecord, token: string, lease: Lease): Promise<CallOutcome<SubmissionResult>> {
    const mayStart = (longestMs: number) => lease.covers(longestMs);
    return job.kind === 'video'
      ? this.tensorpix.enhanceVideo(token, job.input, mayStart)
      : this.tensorpix.enhanceImage(token, job.input, mayStart);
  }

  /** The claim is too old for a call: the row goes back unsent, and waits anew or, under strict handling, fails. */
  private async giveUp(claimed: JobWithTime, lease: Lease, caller: Caller): Promise<Submitted> {
    this.metrics.lostLeases.inc({ loop: 'submission' });
    const job = await this.recorder.putBack(claimed, lease, (row, now) => {
      const change = caller.strict ? unsentStrict(row, now, caller.takeAnswer()) : unsent(row, now);
      return withKey(change, caller.keyEffect({ job: change.after, decision: null, retryAfterMs: null }));
    });
    return { job, decision: null, retryAfterMs: null };
  }

  private async noteAboutTenant(
    { tenantId }: JobRecord,
    token: OpenToken,
    outcome: CallOutcome<unknown>,
    decision: Decision,
  ): Promise<void> {
    if (outcome.kind === 'ok') await this.tokens.noteValid(tenantId, token);
    if (isRefusedFor(outcome, 'token_rejected')) await this.tokens.noteRejected(tenantId, token);
    const parked = decision.kind === 'park' ? decision : null;
    // Whether the job waits or not, its token has to.
    if (outcome.kind === 'refused' && outcome.refusal.reason === 'rate_limited')
      await this.pace.rest(tenantId, parked?.retryInMs ?? outcome.refusal.retryAfterMs, { token });
    if (parked?.scope === 'account') await this.pace.hold(tenantId, parked.retryInMs, parked.reason, token);
  }
}
