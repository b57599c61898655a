import { Injectable } from '@nestjs/common';
import { Problem } from '../../../common/errors/problem.js';
import { becameOf, type Created } from '../creation-answer.js';
import type { JobKind } from '../job-record.js';
import { jobPath } from '../job-resource.js';
import type { IdempotencyKey } from './idempotency-key.js';
import { IdempotencyKeysStore } from './idempotency-keys.store.js';

const RETRY_AFTER_SECONDS = 1;

/** Answers requests whose key was used before. */
@Injectable()
export class ReplayService {
  constructor(private readonly keys: IdempotencyKeysStore) {}

  /**
   * The stored answer, or what has become of the job. Null when the key is free.
   *
   * @param requestId of this request, for a problem that was not stored
   * @throws Problem 422 for another request, 409 while the first one is being answered
   */
  async replay(
    tenantId: string,
    kind: JobKind,
    { key, fingerprint }: IdempotencyKey,
    requestId: string,
  ): Promise<Created | null> {
    const used = await this.keys.find(tenantId, kind, key);
    if (!used) return null;
    const { job, callback, answer } = used;
    if (used.fingerprint !== fingerprint)
      throw new Problem('idempotency_mismatch', 'This Idempotency-Key was used with another request.');
    if (used.inProgress) throw inProgress();
    if (answer) return { status: answer.status, location: jobPath(job), body: answer.body, replayed: true };
    const became = becameOf(job, callback);
    if (!(became instanceof Problem)) return { ...became, replayed: true };
    const body = JSON.stringify(became.toBody(requestId));
    return { status: became.status, location: jobPath(job), body, replayed: true };
  }
}

/** 409 `idempotency_in_progress` (contract, section 4). */
export function inProgress(): Problem {
  return new Problem(
    'idempotency_in_progress',
    'The first request with this Idempotency-Key is still being answered.',
    {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    },
  );
}
