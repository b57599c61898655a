import { Inject, Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Problem, type FieldErrors } from '../../common/errors/problem.js';
import type { Preferences } from '../../common/http/prefer.js';
import { Logger } from '../../common/logging/logger.js';
import { isDatabaseAway } from '../../common/prisma/database-errors.js';
import { checkCallbackUrl } from '../../common/outbound/callback-url.js';
import { checkMediaUrl } from '../../common/outbound/media-source.js';
import { presignedExpiry } from '../../common/outbound/presigned-url.js';
import type { CurrentTenant } from '../tenants/auth.guard.js';
import { KeyDirectory } from '../tenants/key-directory.js';
import { TenantTokens } from '../tenants/tenant-tokens.js';
import type { Intent } from './job-intent.js';
import type { JobKind, JobRecord, JobWarning } from './job-record.js';
import { jobPath, jobView, type JobView } from './job-resource.js';
import { JobsStore, type JobWithTime } from './jobs.store.js';
import { JobsSubmitter } from './jobs.submitter.js';
import { submissionProblem } from './submission-problem.js';
import { SubmissionService, type Submitted } from './submission.service.js';
import { WaitingCaller } from './waiting-caller.js';

/** A create, whatever its kind, as its controller understood it. */
export interface NewJob {
  kind: JobKind;
  /** name and value of the field that holds the source's URL */
  source: { field: string; url: string };
  /** TensorPix's own fields, as they will be sent */
  input: Record<string, unknown>;
  preview: boolean;
  callbackUrl: string | null;
  callbackEvents: string[];
  externalId: string | null;
  metadata: Record<string, string>;
}

/** The answer of a create: 201 when TensorPix has it, 202 when the gateway goes on by itself. */
export interface Created {
  status: 201 | 202;
  location: string;
  job: JobView;
}

/** A create answers within 20 seconds, its own statements included (contract, section 4). */
const DEFAULT_WAIT_MS = 19_000;
const EXPIRES_SOON_MS = 2 * 3_600_000;

/** Creates of both kinds: refuse what is wrong, record the intent, make the call, answer in time. */
@Injectable()
export class JobCreationService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly jobs: JobsStore,
    private readonly submissions: SubmissionService,
    private readonly submitter: JobsSubmitter,
    private readonly tokens: TenantTokens,
    private readonly keys: KeyDirectory,
    private readonly logger: Logger,
  ) {}

  /**
   * @param isConnected tells whether the caller is still there to get the answer
   * @throws Problem of the contract's section 2
   */
  async create(
    tenant: CurrentTenant,
    request: NewJob,
    prefer: Preferences,
    isConnected: () => boolean,
  ): Promise<Created> {
    const startMs = performance.now();
    const checked = this.check(tenant, request);
    const token = this.tokens.open(tenant.id, tenant.tokenCiphertext ?? '');
    const lease = prefer.respondAsync ? null : this.submissions.newLease();
    const recorded = await this.record({
      ...this.intent(tenant, request),
      ...checked,
      lease,
      strict: prefer.strict,
      parks: prefer.respondAsync,
    });
    if (!lease || recorded.job.leaseToken === null) {
      this.submitter.kick();
      return accepted(recorded.job);
    }
    const caller = new WaitingCaller(prefer.strict, isConnected);
    const submission = this.submissions.submit(recorded, token, lease, caller);
    const waitMs = prefer.waitSeconds === undefined ? DEFAULT_WAIT_MS : prefer.waitSeconds * 1000;
    const submitted = await this.inTime(recorded, submission, caller, waitMs - (performance.now() - startMs));
    return submitted ? answer(submitted, prefer.strict) : accepted(recorded.job);
  }

  private async record(intent: Intent): Promise<JobWithTime> {
    const { id, kind } = intent;
    const recorded = await this.jobs.insert(intent).catch((error: unknown) => {
      if (!isDatabaseAway(error)) throw error;
      const detail = 'The database cannot be reached; the job may have been recorded, and is not sent.';
      throw new Problem('unavailable', detail, {
        retryAfterSeconds: 5,
        job: { id, path: jobPath({ kind, id }) },
        cause: error,
      });
    });
    if (recorded) return recorded;
    this.keys.clear();
    throw new Problem('forbidden', 'This tenant has just been suspended, deleted, or given another account.');
  }

  /** Null when the caller's time is over first; the submission then goes on without it. */
  private async inTime(
    { job }: JobWithTime,
    submission: Promise<Submitted>,
    caller: WaitingCaller,
    waitMs: number,
  ): Promise<Submitted | null> {
    const guarded = submission.catch((error: unknown) => {
      this.logger.error({ err: error, job_id: job.id }, 'the outcome of a call could not be recorded');
      const detail = 'The job is recorded, but what TensorPix answered could not be.';
      throw new Problem('unavailable', detail, {
        retryAfterSeconds: 5,
        job: { id: job.id, path: jobPath(job) },
        cause: error,
      });
    });
    // Heard in any case: when the caller gives up first, nobody waits for this promise any more.
    guarded.catch(() => undefined);
    const gaveUp = await caller.waitFor(guarded, waitMs);
    return gaveUp ? null : guarded;
  }

  private intent(tenant: CurrentTenant, request: NewJob) {
    const { kind, preview, input, callbackUrl, callbackEvents, externalId, metadata } = request;
    const { id: tenantId, accountId, apiKeyId } = tenant;
    return {
      id: uuidv7(),
      tenantId,
      accountId,
      apiKeyId,
      kind,
      preview,
      input,
      callbackUrl,
      callbackEvents,
      externalId,
      metadata,
    };
  }

  /** What the DTO cannot know: where the URLs lead, and how long a presigned one lives. */
  private check(
    tenant: CurrentTenant,
    { source, callbackUrl }: NewJob,
  ): { sourceExpiresAt: Date | null; warnings: JobWarning[] } {
    const errors: FieldErrors = {};
    const media = checkMediaUrl(source.url);
    if (!media.ok) errors[source.field] = [media.reason];
    const sourceExpiresAt = media.ok ? presignedExpiry(media.url) : null;
    const remainingMs = sourceExpiresAt ? sourceExpiresAt.getTime() - Date.now() : Number.POSITIVE_INFINITY;
    if (remainingMs <= 0) errors[source.field] = ['is a presigned URL that has already expired'];
    if (callbackUrl !== null) {
      const { callbackAllowHttp: allowHttp, callbackAllowedCidrs: allowedCidrs } = this.config;
      const callback = checkCallbackUrl(callbackUrl, {
        allowHttp,
        allowedCidrs,
        allowedHosts: tenant.callbackAllowedHosts,
      });
      if (!callback.ok) errors.callback_url = [callback.reason];
    }
    if (Object.keys(errors).length > 0) throw Problem.invalid(errors);
    const detail = 'TensorPix recommends presigned URLs that live at least 2 hours.';
    return {
      sourceExpiresAt,
      warnings: remainingMs < EXPIRES_SOON_MS ? [{ code: 'presigned_url_expires_soon', detail }] : [],
    };
  }
}

function answer({ job, decision, retryAfterMs }: Submitted, strict: boolean): Created {
  const timedOut = decision?.kind === 'unconfirm' && decision.timedOut;
  if (job.status === 'failed' || (strict && job.status === 'unconfirmed'))
    throw submissionProblem(job, { timedOut, retryAfterMs });
  const there = job.tensorpixId !== null || job.status === 'finished';
  return there ? { ...accepted(job), status: 201 } : accepted(job);
}

function accepted(job: JobRecord): Created {
  const state = job.callbackUrl === null ? 'none' : 'pending';
  return { status: 202, location: jobPath(job), job: jobView(job, { state, attempts: 0, last_error: null }) };
}
