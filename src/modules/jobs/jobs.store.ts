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
import type { JobStatus, StatusReason } from './job-state.js';
import { EQUAL_RECHECK_MS, unknownEqual } from './reconciliation/unknown-equal.sql.js';

export interface JobWithTime {
  job: JobRecord;
  time: DatabaseTime;
}

/**
 * What became of an intent. `tenant_gone`: the tenant was deleted, suspended, or has just got a token of another account.
 * `equal_unknown`: it must not wait, and an equal job's outcome is unknown. `key_taken`: its key stands for another row.
 */
export type Inserted = JobWithTime | 'tenant_gone' | 'equal_unknown' | 'key_taken';

interface InsertedRow {
  id: string;
  now: Date | null;
  allowed: boolean;
  waits: boolean;
  holdUntil: Date | null;
  holdReason: StatusReason | null;
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

/** Keys are taken before the rows that they stand for; of two equal ones only one gets its row. */
const TAKEN_KEYS = Prisma.sql`taken_key as (
  insert into idempotency_keys (tenant_id, kind, key, fingerprint, job_id, locked_until)
  select i.tenant_id, i.kind, i.key, decode(i.fingerprint, 'hex'), i.id,
         case when a.sent then now() + i.lease_ms * interval '1 millisecond' end
    from input i
    join allowed a on a.id = i.id
   where i.key is not null
      on conflict (tenant_id, kind, key) do nothing
  returning job_id
),`;

/** Intents and reads of jobs. What changes a job is in `job-changes.store.ts`. */
@Injectable()
export class JobsStore {
  private readonly intents = new MicroBatcher((items: Intent[]) => this.insertMany(items), {
    maxItems: INTENTS_A_STATEMENT,
    concurrency: 1,
  });

  constructor(private readonly prisma: PrismaService) {}

  /** Commits the intent, its first event and its idempotency key; or nothing, and says why. */
  insert(intent: Intent): Promise<Inserted> {
    return retryWhileAway(INSERT_PATIENCE_MS, () => this.intents.add(intent));
  }

  private async insertMany(intents: Intent[]): Promise<Inserted[]> {
    const keyed = intents.some(({ key }) => key !== null);
    const rows = await this.prisma.$queryRaw<InsertedRow[]>`
      with given as (
        select i.*, decode(i.observable_key, 'hex') as observable,
               exists (${unknownEqual(Prisma.sql`i.account_id`, Prisma.sql`decode(i.observable_key, 'hex')`)}) as waits,
               case when not i.strict and p.rest_until > now() then p.rest_until end as rest_until,
               case when i.parks and p.hold_until > now() then p.hold_until end as account_until, p.hold_reason as account_reason
          from jsonb_to_recordset(${JSON.stringify(intents.map(toRow))}::jsonb) as i(
            id uuid, tenant_id uuid, account_id uuid, api_key_id uuid, kind text, preview boolean, input jsonb,
            warnings jsonb, external_id text, metadata jsonb, callback_url text, callback_events text[], parks boolean,
            observable_key text, source_expires_at timestamptz, strict boolean, lease_token uuid, lease_ms float8,
            key text, fingerprint text)
          left join tenant_paces p on p.tenant_id = i.tenant_id
      ), input as (
        select g.*, case when g.waits then now() + ${EQUAL_RECHECK_MS}::float8 * interval '1 millisecond'
                         else coalesce(g.rest_until, g.account_until) end as hold_until,
               case when g.waits then 'outcome_unknown' when g.rest_until is not null then 'rate_limited'
                    when g.account_until is not null then g.account_reason end as hold_reason
          from given g
      ), allowed as (
        select i.id, i.lease_token is not null and i.hold_until is null as sent
          from input i
          join tenants t on t.id = i.tenant_id and t.account_id = i.account_id and t.status = 'active'
                        and t.deleted_at is null
         where not (i.strict and i.waits)
           for key share of t
      ), ${keyed ? TAKEN_KEYS : Prisma.empty} j as (
        insert into jobs (
          id, tenant_id, account_id, api_key_id, kind, status, status_reason, preview, input, warnings, external_id,
          metadata, callback_url, callback_events, parks, strict, observable_key, source_expires_at, attempt, called_at,
          lease_token, lease_expires_at, due_at)
        select i.id, i.tenant_id, i.account_id, i.api_key_id, i.kind, 'submitting',
               case when a.sent then 'sending' else i.hold_reason end, i.preview, i.input, i.warnings, i.external_id,
               i.metadata, i.callback_url, i.callback_events, i.parks, i.strict, i.observable, i.source_expires_at,
               case when a.sent then 1 else 0 end, case when a.sent then now() end,
               case when a.sent then i.lease_token end,
               case when a.sent then now() + i.lease_ms * interval '1 millisecond' end,
               case when not a.sent then coalesce(i.hold_until, ${DUE_NOW}) end
          from input i
          join allowed a on a.id = i.id
         where ${keyed ? Prisma.sql`i.key is null or i.id in (select job_id from taken_key)` : Prisma.sql`true`}
            on conflict (id) do nothing
        returning id, tenant_id, kind, attempt, created_at
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select j.id, 1, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.submitting',
               jsonb_build_object('attempt', j.attempt)
          from j
      )
      -- A repeated statement finds the rows that its first run has committed. Looked up for those only that were not
      -- inserted, one by one: a plain join was planned as a scan of the whole index while the table was small.
      select i.id, coalesce(j.created_at, old.created_at) as now, a.id is not null as allowed, i.strict and i.waits as "waits",
             case when old.lease_token is null then i.hold_until end as "holdUntil", i.hold_reason as "holdReason"
        from input i
        left join allowed a on a.id = i.id
        left join j on j.id = i.id
        left join lateral (
          select o.created_at, o.lease_token from jobs o where o.id = i.id and j.id is null limit 1) old on true`;
    const byId = new Map(rows.map((row) => [row.id, row]));
    return intents.map((intent) => insertedOf(intent, byId.get(intent.id)));
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
    const newest = Prisma.sql`order by x.created_at desc, x.id desc limit ${limit}::int`;
    const source =
      filter.statuses.length === 0
        ? Prisma.sql`(select * from jobs x where ${conditions} ${newest})`
        : Prisma.sql`(select picked.* from unnest(${filter.statuses}::text[]) as wanted(status)
            cross join lateral (select * from jobs x where ${conditions} and x.status = wanted.status ${newest}) picked)`;
    const rows = await this.prisma.$queryRaw<(JobRow & { callback: CallbackState })[]>`
      select ${JOB_COLUMNS}, ${CALLBACK_STATE} as callback
        from ${source} j
       order by j.created_at desc, j.id desc
       limit ${limit}::int`;
    return rows.map((row) => ({ job: toJobRecord(row), callback: row.callback }));
  }

  /** Oldest first, from after a sequence number. */
  findEvents(tenantId: string, jobId: string, afterSequence: number, limit: number): Promise<StoredEvent[]> {
    return this.prisma.$queryRaw<StoredEvent[]>`
      select e.sequence, e.type, e.data, e.created_at as "createdAt"
        from job_events e
       where e.tenant_id = ${tenantId}::uuid and e.job_id = ${jobId}::uuid and e.sequence > ${afterSequence}::int
       order by e.sequence
       limit ${limit}::int`;
  }
}

function insertedOf(intent: Intent, row: InsertedRow | undefined): Inserted {
  if (row?.now) {
    const { now, holdUntil: until, holdReason: reason } = row;
    const hold = until && reason ? { until, reason } : null;
    return { job: recordOf(intent, now, hold), time: new DatabaseTime(now) };
  }
  if (row?.allowed) return 'key_taken';
  return row?.waits ? 'equal_unknown' : 'tenant_gone';
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
    observable_key: intent.observableKey,
    key: intent.key?.key ?? null,
    fingerprint: intent.key?.fingerprint ?? null,
  };
}
