import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { timeOrderedId } from '../../common/crypto/time-ordered-id.js';
import { Problem, type FieldErrors } from '../../common/errors/problem.js';
import type { Preferences } from '../../common/http/prefer.js';
import { Logger } from '../../common/logging/logger.js';
import { isDatabaseAway, sayAway } from '../../common/prisma/database-errors.js';
import { checkCallbackUrl, operatorPolicy } from '../../common/outbound/callback-url.js';
import { checkMediaUrl } from '../../common/outbound/media-source.js';
import { presignedExpiry } from '../../common/outbound/presigned-url.js';
import type { Lease } from '../../common/loops/lease.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import type { CurrentTenant } from '../tenants/auth.guard.js';
import { KeyDirectory } from '../tenants/key-directory.js';
import { TenantTokens } from '../tenants/tenant-tokens.js';
import type { Intent } from './job-intent.js';
import type { JobKind, JobRecord, JobWarning } from './job-record.js';
import { jobPath } from './job-resource.js';
import { accepted, answerOf, type Created } from './creation-answer.js';
import { fingerprintOf, type IdempotencyKey } from './idempotency/idempotency-key.js';
import { IdempotencyKeysStore } from './idempotency/idempotency-keys.store.js';
import { inProgress, ReplayService } from './idempotency/replay.service.js';
import { observableKey } from './reconciliation/observable-key.js';
import { JobIntentsStore, type Inserted } from './job-intents.store.js';
import type { JobWithTime } from './job-rows.js';
import { LostClaims } from './lost-claims.js';
import { unsentUnheard } from './submission-change.js';
import { SubmissionService, type Submitted } from './submission.service.js';
import { DEFAULT_WAIT_MS, WaitingCaller } from './waiting-caller.js';

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

/** What a request says beside its body. */
export interface CreateOptions {
  prefer: Preferences;
  /** of `Idempotency-Key`; null when there is none */
  key: string | null;
  requestId: string;
  /** tells whether the caller is still there to get the answer */
  isConnected: () => boolean;
}

/** What was found out about a request that is in order. */
interface Checked {
  sourceExpiresAt: Date | null;
  warnings: JobWarning[];
}

const EXPIRES_SOON_MS = 2 * 3_600_000;
/** A key that is freed again and again between two looks is somebody else's race. */
const KEY_TRIES = 3;
const EQUAL_UNKNOWN =
  'Whether TensorPix has an equal job (same URL, same models) is being established; until then no other is sent.';

/** Creates of both kinds: refuse what is wrong, record the intent, make the call, answer in time. */
@Injectable()
export class JobCreationService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly intents: JobIntentsStore,
    private readonly submissions: SubmissionService,
    private readonly lostClaims: LostClaims,
    private readonly wakeUps: WakeUps,
    private readonly tokens: TenantTokens,
    private readonly keys: KeyDirectory,
    private readonly usedKeys: IdempotencyKeysStore,
    private readonly replays: ReplayService,
    private readonly logger: Logger,
  ) {}

  /** @throws Problem of the contract's section 2 */
  async create(tenant: CurrentTenant, request: NewJob, options: CreateOptions): Promise<Created> {
    const startMs = performance.now();
    const { prefer, requestId, isConnected } = options;
    const key = options.key === null ? null : { key: options.key, fingerprint: fingerprintOf(request) };
    const checked = await this.checkUnlessReplayed(tenant, request, key, requestId);
    if ('replayed' in checked) return checked;
    const token = this.tokens.open(tenant.id, tenant.tokenCiphertext ?? '');
    const lease = prefer.respondAsync ? null : this.submissions.newLease();
    const recorded = await this.record(intentOf(tenant, request, checked, key, lease, prefer), requestId);
    if ('replayed' in recorded) return recorded;
    if (!lease || recorded.job.leaseToken !== lease.token) {
      this.wakeUps.ring('submissions');
      return accepted(recorded.job);
    }
    const caller = new WaitingCaller(prefer.strict, isConnected, key ? requestId : null);
    const submission = this.submissions.submit(recorded, token, lease, caller);
    const waitMs = prefer.waitSeconds === undefined ? DEFAULT_WAIT_MS : prefer.waitSeconds * 1000;
    const submitted = await this.inTime(recorded, submission, caller, waitMs - (performance.now() - startMs));
    if (!submitted) return this.goOnWithout(recorded.job, key !== null);
    const answer = answerOf(submitted, prefer.strict);
    if (answer instanceof Problem) throw answer;
    return answer;
  }

  /** A request that is answered already is answered again, although its URL may have expired since. */
  private async checkUnlessReplayed(
    tenant: CurrentTenant,
    request: NewJob,
    key: IdempotencyKey | null,
    requestId: string,
  ) {
    try {
      return this.check(tenant, request);
    } catch (error) {
      const replayed = key && (await this.replays.replay(tenant.id, request.kind, key, requestId));
      if (replayed) return replayed;
      throw error;
    }
  }

  /** Commits the intent, or answers again what its key stands for. */
  private async record(intent: Intent, requestId: string): Promise<JobWithTime | Created> {
    const { kind, tenantId, key } = intent;
    for (let tries = 0; tries < KEY_TRIES; tries += 1) {
      const recorded = await this.insert(intent);
      if (typeof recorded === 'object') return recorded;
      const replayed = key && (await this.replays.replay(tenantId, kind, key, requestId));
      if (replayed) return replayed;
      if (recorded === 'equal_unknown') throw new Problem('unavailable', EQUAL_UNKNOWN, { retryAfterSeconds: 30 });
      if (recorded === 'tenant_gone') {
        this.keys.clear();
        throw new Problem('forbidden', 'This tenant has just been suspended, deleted, or given another account.');
      }
      // The key has been freed since: it may be used anew.
    }
    throw inProgress();
  }

  private insert(intent: Intent): Promise<Inserted> {
    const { id, kind } = intent;
    return this.intents.insert(intent).catch((error: unknown) => {
      if (!isDatabaseAway(error)) throw error;
      if (intent.lease) this.lostClaims.add(intent.lease, unsentUnheard);
      const detail = `${sayAway(error)} Whether the job was recorded is not known: look for job_id before you send it again, or repeat the request with its Idempotency-Key.`;
      throw new Problem('unavailable', detail, {
        retryAfterSeconds: 5,
        job: { id, path: jobPath({ kind, id }) },
        cause: error,
      });
    });
  }

  /** The caller's time is over: from now on its key answers with what becomes of the job. */
  private async goOnWithout(job: JobRecord, keyed: boolean): Promise<Created> {
    if (keyed) {
      await this.usedKeys.open(job.tenantId, job.id).catch((error: unknown) => {
        this.logger.error({ err: error, job_id: job.id }, 'a key stays locked until its lease expires');
      });
    }
    return accepted(job);
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

  /** What the DTO cannot know: where the URLs lead, and how long a presigned one lives. */
  private check(tenant: CurrentTenant, { source, callbackUrl }: NewJob): Checked {
    const errors: FieldErrors = {};
    const media = checkMediaUrl(source.url);
    if (!media.ok) errors[source.field] = [media.reason];
    const sourceExpiresAt = media.ok ? presignedExpiry(media.url) : null;
    const remainingMs = sourceExpiresAt ? sourceExpiresAt.getTime() - Date.now() : Number.POSITIVE_INFINITY;
    if (remainingMs <= 0) errors[source.field] = ['is a presigned URL that has already expired'];
    if (callbackUrl !== null) {
      const policy = { ...operatorPolicy(this.config), allowedHosts: tenant.callbackAllowedHosts };
      const callback = checkCallbackUrl(callbackUrl, policy);
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

/** Field by field: put together by spreading, it was a thirtieth of the time of a create. */
function intentOf(
  tenant: CurrentTenant,
  request: NewJob,
  { sourceExpiresAt, warnings }: Checked,
  key: IdempotencyKey | null,
  lease: Lease | null,
  prefer: Preferences,
): Intent {
  return {
    id: timeOrderedId(),
    tenantId: tenant.id,
    accountId: tenant.accountId,
    apiKeyId: tenant.apiKeyId,
    kind: request.kind,
    preview: request.preview,
    input: request.input,
    warnings,
    externalId: request.externalId,
    metadata: request.metadata,
    callbackUrl: request.callbackUrl,
    callbackEvents: request.callbackEvents,
    parks: prefer.respondAsync,
    observableKey: request.kind === 'video' ? observableKey(request.input) : null,
    sourceExpiresAt,
    lease,
    strict: prefer.strict,
    key,
  };
}
