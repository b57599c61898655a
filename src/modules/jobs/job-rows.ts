import { Prisma } from '../../generated/prisma/client.js';
import { DatabaseTime } from '../../common/time/database-time.js';
import type { JobRecord } from './job-record.js';

/** A job as it was read, and the time of the database from then on. */
export interface JobWithTime {
  job: JobRecord;
  time: DatabaseTime;
}

/** The columns of `jobs j` under the names of JobRecord. */
export const JOB_COLUMNS = Prisma.sql`
  j.id, j.tenant_id as "tenantId", j.account_id as "accountId", j.api_key_id as "apiKeyId", j.kind, j.status,
  j.status_reason as "statusReason", j.tensorpix_id as "tensorpixId", j.preview, j.progress,
  j.eta_seconds as "etaSeconds", j.cost_credits::text as "costCredits", j.input, j.output, j.error, j.warnings,
  j.external_id as "externalId", j.metadata, j.callback_url as "callbackUrl", j.callback_events as "callbackEvents",
  j.sequence, j.reported_progress as "reportedProgress", j.parks, j.strict, j.attempt,
  encode(j.observable_key, 'hex') as "observableKey", j.called_at as "calledAt", j.unknown_since as "unknownSince",
  j.clean_looks as "cleanLooks", j.clean_look_at as "cleanLookAt", j.doubted_since as "doubtedSince", j.due_at as "dueAt",
  j.lease_token as "leaseToken", j.lease_expires_at as "leaseExpiresAt", j.source_expires_at as "sourceExpiresAt",
  j.cancel_requested_at as "cancelRequestedAt", j.result_awaited_since as "resultAwaitedSince",
  j.missing_since as "missingSince", j.missing_looks as "missingLooks", j.created_at as "createdAt",
  j.submitted_at as "submittedAt", j.started_at as "startedAt", j.finished_at as "finishedAt",
  j.updated_at as "updatedAt"`;

/** A row as the driver gives it: only the 64-bit id differs from the record. */
export type JobRow = Omit<JobRecord, 'tensorpixId'> & { tensorpixId: bigint | null };

/** Ids of TensorPix fit into a number; the driver gives them as bigint. */
export function toJobRecord(row: JobRow): JobRecord {
  return pickRecord({ ...row, tensorpixId: row.tensorpixId === null ? null : Number(row.tensorpixId) });
}

/** A row with the moment at which the database read it. */
export function withTime(row: JobRow & { now: Date }): JobWithTime {
  return { job: toJobRecord(row), time: new DatabaseTime(row.now) };
}

/** Drops what a query selected beside the record's own columns. */
function pickRecord(row: JobRecord & { now?: unknown; callback?: unknown }): JobRecord {
  const { now: _now, callback: _callback, ...record } = row;
  return record;
}
