import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../../common/prisma/prisma.service.js';
import { CALLBACK_STATE } from '../../webhooks/callback-state.sql.js';
import type { JobKind } from '../job-record.js';
import { JOB_COLUMNS, toJobRecord, type JobRow } from '../job-rows.js';
import type { JobWithCallback } from '../jobs.store.js';

/** A key that has been used, with the job that it made. */
export interface UsedKey extends JobWithCallback {
  fingerprint: string;
  /** the create is being answered by somebody who is alive, as far as its lease tells */
  inProgress: boolean;
  /** null: the key answers with what has become of the job */
  answer: { status: number; body: string } | null;
}

/** The keys with which creates were asked for, and what each stands for (contract, section 4). */
@Injectable()
export class IdempotencyKeysStore {
  constructor(private readonly prisma: PrismaService) {}

  async find(tenantId: string, kind: JobKind, key: string): Promise<UsedKey | null> {
    const [row] = await this.prisma.$queryRaw<
      (JobRow & Omit<UsedKey, 'job' | 'answer'> & { answerStatus: number | null; answerBody: string | null })[]
    >`
      select ${JOB_COLUMNS}, ${CALLBACK_STATE} as callback, encode(k.fingerprint, 'hex') as fingerprint,
             coalesce(k.locked_until > now(), false) as "inProgress", k.answer_status as "answerStatus",
             k.answer_body as "answerBody"
        from idempotency_keys k
        join jobs j on j.id = any(array[k.job_id]) and case when j.id is not null then j.tenant_id = k.tenant_id end
       where k.tenant_id = ${tenantId}::uuid and k.kind = ${kind}::text and k.key = ${key}::text`;
    if (!row) return null;
    const { callback, fingerprint, inProgress, answerStatus: status, answerBody: body, ...job } = row;
    const answer = status === null || body === null ? null : { status, body };
    return { job: toJobRecord(job), callback: callback, fingerprint, inProgress, answer };
  }

  /** The caller was answered 202: from now on the key answers with what becomes of the job. */
  async open(tenantId: string, jobId: string): Promise<void> {
    await this.prisma.$executeRaw`
      update idempotency_keys set locked_until = null
       where tenant_id = ${tenantId}::uuid and job_id = ${jobId}::uuid`;
  }

  /** @returns how many were removed, at most `limit` */
  async deleteExpiredAnyTenant(keptHours: number, limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      delete from idempotency_keys
       where ctid = any(array(
         select k.ctid
           from idempotency_keys k
          where k.created_at < now() - ${keptHours}::float8 * interval '1 hour'
            and (k.locked_until is null or k.locked_until < now())
          order by k.created_at
          limit ${limit}::int
            for update skip locked))`;
  }
}
