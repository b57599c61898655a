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
}

/**
 * The row that an intent becomes. The statement that writes it returns nothing but the time, because reading forty
 * columns back for every create costs more than writing them.
 */
export function recordOf({ lease, ...intent }: Intent, now: Date): JobRecord {
  return {
    ...intent,
    status: 'submitting',
    statusReason: lease ? 'sending' : null,
    tensorpixId: null,
    progress: null,
    etaSeconds: null,
    costCredits: null,
    output: null,
    error: null,
    sequence: 1,
    reportedProgress: 0,
    attempt: lease ? 1 : 0,
    dueAt: lease ? null : now,
    leaseToken: lease?.token ?? null,
    leaseExpiresAt: lease ? new Date(now.getTime() + lease.durationMs) : null,
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
