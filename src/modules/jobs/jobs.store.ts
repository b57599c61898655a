import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { retryWhileAway } from '../../common/prisma/retry-while-away.js';
import { DatabaseTime } from '../../common/time/database-time.js';
import { CALLBACK_STATE, undeliveredJobs } from '../webhooks/callback-state.sql.js';
import { recordOf, type Intent } from './job-intent.js';
import type { CallbackState, JobKind, JobRecord } from './job-record.js';
import { JOB_COLUMNS, toJobRecord, type JobRow } from './job-rows.js';
import type { JobStatus } from './job-state.js';

export interface JobWithTime {
  job: JobRecord;
  time: DatabaseTime;
}

export interface JobWithCallback {
  job: JobRecord;
  callback: CallbackState;
}

export interface JobFilter {
  kind: JobKind;
  statuses: JobStatus[];
  externalId: string | undefined;
  createdAfter: Date | undefined;
  createdBefore: Date | undefined;
  undelivered: boolean;
}

export interface StoredEvent {
  sequence: number;
  type: string;
  data: Record<string, unknown>;
  createdAt: Date;
}

const INTENTS_A_STATEMENT = 200;
const INSERT_PATIENCE_MS = 3_000;

/** Intents and reads of jobs. What changes a job is in `job-changes.store.ts`. */
@Injectable()
export class JobsStore {
  private readonly intents = new MicroBatcher((items: Intent[]) => this.insertMany(items), {
    maxItems: INTENTS_A_STATEMENT,
    concurrency: 1,
  });

  constructor(private readonly prisma: PrismaService) {}

  /**
   * Commits the intent and its first event. Null when the tenant is gone, suspended, or has just got a token of another
   * account.
   */
  insert(intent: Intent): Promise<JobWithTime | null> {
    return retryWhileAway(INSERT_PATIENCE_MS, () => this.intents.add(intent));
  }

  private async insertMany(intents: Intent[]): Promise<(JobWithTime | null)[]> {
    const rows = await this.prisma.$queryRaw<{ id: string; now: Date; restUntil: Date | null }[]>`
      with input as (
        select i.*, case when not i.strict and p.rest_until > now() then p.rest_until end as rest_until
          from jsonb_to_recordset(${JSON.stringify(intents.map(toRow))}::jsonb) as i(
            id uuid, tenant_id uuid, account_id uuid, api_key_id uuid, kind text, preview boolean, input jsonb,
            warnings jsonb, external_id text, metadata jsonb, callback_url text, callback_events text[], parks boolean,
            source_expires_at timestamptz, strict boolean, lease_token uuid, lease_ms float8)
          left join tenant_paces p on p.tenant_id = i.tenant_id
      ), j as (
        insert into jobs (
          id, tenant_id, account_id, api_key_id, kind, status, status_reason, preview, input, warnings, external_id,
          metadata, callback_url, callback_events, parks, strict, source_expires_at, attempt, lease_token, lease_expires_at,
          due_at)
        select i.id, i.tenant_id, i.account_id, i.api_key_id, i.kind, 'submitting',
               case when i.rest_until is not null then 'rate_limited' when i.lease_token is not null then 'sending' end,
               i.preview, i.input, i.warnings, i.external_id, i.metadata, i.callback_url, i.callback_events, i.parks,
               i.strict, i.source_expires_at, case when i.rest_until is null and i.lease_token is not null then 1 else 0 end,
               case when i.rest_until is null then i.lease_token end,
               case when i.rest_until is null then now() + i.lease_ms * interval '1 millisecond' end,
               case when i.rest_until is not null then i.rest_until when i.lease_token is null then ${DUE_NOW} end
          from input i
          join tenants t on t.id = i.tenant_id and t.account_id = i.account_id and t.status = 'active'
                        and t.deleted_at is null
           for key share of t
            on conflict (id) do nothing
        returning id, tenant_id, kind, attempt, due_at, created_at
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select j.id, 1, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.submitting',
               jsonb_build_object('attempt', j.attempt)
          from j
      )
      -- A repeated statement finds the rows that its first run has committed.
      select i.id, coalesce(j.created_at, old.created_at) as now,
             case when old.lease_token is null then i.rest_until end as "restUntil"
        from input i
        left join j on j.id = i.id
        left join jobs old on old.id = i.id
       where j.id is not null or old.id is not null`;
    const byId = new Map(rows.map((row) => [row.id, row]));
    return intents.map((intent) => {
      const row = byId.get(intent.id);
      return row ? { job: recordOf(intent, row.now, row.restUntil), time: new DatabaseTime(row.now) } : null;
    });
  }

  async find(tenantId: string, kind: JobKind, id: string): Promise<JobWithCallback | null> {
    const [row] = await this.prisma.$queryRaw<(JobRow & { callback: CallbackState })[]>`
      select ${JOB_COLUMNS}, ${CALLBACK_STATE} as callback
        from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.id = ${id}::uuid and j.kind = ${kind}`;
    return row ? { job: toJobRecord(row), callback: row.callback } : null;
  }

  /** The record as it is now, with the database's time, to work on. */
  async findRecord(tenantId: string, id: string): Promise<JobWithTime | null> {
    const [row] = await this.prisma.$queryRaw<(JobRow & { now: Date })[]>`
      select ${JOB_COLUMNS}, now() as now from jobs j where j.tenant_id = ${tenantId}::uuid and j.id = ${id}::uuid`;
    return row ? { job: toJobRecord(row), time: new DatabaseTime(row.now) } : null;
  }

  /** Newest first. One index range a status, so that rare states are found without reading the others. */
  async findPage(
    tenantId: string,
    filter: JobFilter,
    limit: number,
    after: PagePosition | undefined,
  ): Promise<JobWithCallback[]> {
    const conditions = Prisma.join(
      [
        Prisma.sql`x.tenant_id = ${tenantId}::uuid and x.kind = ${filter.kind}`,
        ...(after ? [Prisma.sql`(x.created_at, x.id) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`] : []),
        ...(filter.externalId !== undefined ? [Prisma.sql`x.external_id = ${filter.externalId}`] : []),
        ...(filter.createdAfter ? [Prisma.sql`x.created_at > ${filter.createdAfter}::timestamptz`] : []),
        ...(filter.createdBefore ? [Prisma.sql`x.created_at < ${filter.createdBefore}::timestamptz`] : []),
        ...(filter.undelivered ? [Prisma.sql`x.id in (${undeliveredJobs(tenantId)})`] : []),
      ],
      ' and ',
    );
    const newest = Prisma.sql`order by x.created_at desc, x.id desc limit ${limit}`;
    const source =
      filter.statuses.length === 0
        ? Prisma.sql`(select * from jobs x where ${conditions} ${newest})`
        : Prisma.sql`(select picked.* from unnest(${filter.statuses}::text[]) as wanted(status)
            cross join lateral (select * from jobs x where ${conditions} and x.status = wanted.status ${newest}) picked)`;
    const rows = await this.prisma.$queryRaw<(JobRow & { callback: CallbackState })[]>`
      select ${JOB_COLUMNS}, ${CALLBACK_STATE} as callback
        from ${source} j
       order by j.created_at desc, j.id desc
       limit ${limit}`;
    return rows.map((row) => ({ job: toJobRecord(row), callback: row.callback }));
  }

  /** Oldest first, from after a sequence number. */
  findEvents(tenantId: string, jobId: string, afterSequence: number, limit: number): Promise<StoredEvent[]> {
    return this.prisma.$queryRaw<StoredEvent[]>`
      select e.sequence, e.type, e.data, e.created_at as "createdAt"
        from job_events e
       where e.tenant_id = ${tenantId}::uuid and e.job_id = ${jobId}::uuid and e.sequence > ${afterSequence}::int
       order by e.sequence
       limit ${limit}`;
  }
}

function toRow(intent: Intent): Record<string, unknown> {
  return {
    id: intent.id,
    tenant_id: intent.tenantId,
    account_id: intent.accountId,
    api_key_id: intent.apiKeyId,
    kind: intent.kind,
    preview: intent.preview,
    input: intent.input,
    warnings: intent.warnings,
    external_id: intent.externalId,
    metadata: intent.metadata,
    callback_url: intent.callbackUrl,
    callback_events: intent.callbackEvents,
    parks: intent.parks,
    source_expires_at: intent.sourceExpiresAt,
    strict: intent.strict,
    lease_token: intent.lease?.token ?? null,
    lease_ms: intent.lease?.durationMs ?? null,
  };
}
