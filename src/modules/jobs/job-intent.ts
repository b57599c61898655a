import type { Lease } from '../../common/loops/lease.js';
import type { JobKind, JobRecord, JobWarning } from './job-record.js';

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
  sourceExpiresAt: Date | null;
  lease: Lease | null;
  /** nothing is parked or repeated, not even while the tenant's token rests */
  strict: boolean;
}

/**
 * The row that an intent becomes. The statement that writes it returns little more than the time, because reading forty
 * columns back for every create costs more than writing them.
 *
 * @param restUntil set when the tenant's token rests, so that the claim was not taken
 */
export function recordOf(intent: Intent, now: Date, restUntil: Date | null): JobRecord {
  const taken = restUntil === null ? intent.lease : null;
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
    strict: intent.strict,
    sourceExpiresAt: intent.sourceExpiresAt,
    status: 'submitting',
    statusReason: restUntil ? 'rate_limited' : taken ? 'sending' : null,
    tensorpixId: null,
    progress: null,
    etaSeconds: null,
    costCredits: null,
    output: null,
    error: null,
    sequence: 1,
    reportedProgress: 0,
    attempt: taken ? 1 : 0,
    dueAt: restUntil ?? (taken ? null : now),
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
