import type { Lease } from '../../common/loops/lease.js';
import type { IdempotencyKey } from './idempotency/idempotency-key.js';
import type { JobKind, JobRecord, JobWarning } from './job-record.js';
import type { StatusReason } from './job-state.js';

/** A job to be recorded before TensorPix hears of it. With a lease it is sent at once, else when it is due. */
export interface Intent {
  id: string;
  tenantId: string;
  accountId: string;
  apiKeyId: string;
  kind: JobKind;
  preview: boolean;
  input: Record<string, unknown>;
  warnings: JobWarning[];
  externalId: string | null;
  metadata: Record<string, string>;
  callbackUrl: string | null;
  callbackEvents: string[];
  parks: boolean;
  observableKey: string | null;
  sourceExpiresAt: Date | null;
  lease: Lease | null;
  /** nothing is parked or repeated, not even while the tenant's token rests */
  strict: boolean;
  /** committed with the row; null when the caller gave none */
  key: IdempotencyKey | null;
}

/** Why a row is not sent at once although its caller waits: a token that rests, or an equal job of unknown outcome. */
export interface Hold {
  until: Date;
  reason: StatusReason;
}

/**
 * The row that an intent becomes. The statement that writes it returns little more than the time, because reading forty
 * columns back for every create costs more than writing them.
 *
 * @param hold set when the claim was not taken
 */
export function recordOf(intent: Intent, now: Date, hold: Hold | null): JobRecord {
  const taken = hold === null ? intent.lease : null;
  // Field by field: a spread of the rest was a twentieth of the time of a create.
  return {
    id: intent.id,
    tenantId: intent.tenantId,
    accountId: intent.accountId,
    apiKeyId: intent.apiKeyId,
    kind: intent.kind,
    preview: intent.preview,
    input: intent.input,
    warnings: intent.warnings,
    externalId: intent.externalId,
    metadata: intent.metadata,
    callbackUrl: intent.callbackUrl,
    callbackEvents: intent.callbackEvents,
    parks: intent.parks,
    observableKey: intent.observableKey,
    sourceExpiresAt: intent.sourceExpiresAt,
    strict: intent.strict,
    status: 'submitting',
    statusReason: hold?.reason ?? (taken ? 'sending' : null),
    tensorpixId: null,
    progress: null,
    etaSeconds: null,
    costCredits: null,
    output: null,
    error: null,
    sequence: 1,
    reportedProgress: 0,
    attempt: taken ? 1 : 0,
    calledAt: taken ? now : null,
    unknownSince: null,
    cleanLooks: 0,
    cleanLookAt: null,
    doubtedSince: null,
    dueAt: hold?.until ?? (taken ? null : now),
    leaseToken: taken?.token ?? null,
    leaseExpiresAt: taken ? new Date(now.getTime() + taken.durationMs) : null,
    cancelRequestedAt: null,
    resultAwaitedSince: null,
    missingSince: null,
    missingLooks: 0,
    createdAt: now,
    submittedAt: null,
    startedAt: null,
    finishedAt: null,
    updatedAt: now,
  };
}
