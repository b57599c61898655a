import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { Problem } from '../../common/errors/problem.js';
import type { PagePosition } from '../../common/http/cursor.js';
import { leastIdAt } from '../../common/crypto/time-ordered-id.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { CALLBACK_STATE, undeliveredJobs, type JobIdRange } from '../webhooks/callback-state.sql.js';
import type { CallbackState, JobKind, JobRecord } from './job-record.js';
import { JOB_COLUMNS, toJobRecord, withTime, type JobRow, type JobWithTime } from './job-rows.js';
import type { JobStatus, StatusReason } from './job-state.js';

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

/** Which job of whom. */
export interface JobRef {
  tenantId: string;
  id: string;
}

/** What somebody who waits for news of a job has to know of it. */
export interface JobStanding {
  status: JobStatus;
  statusReason: StatusReason | null;
  /** of the newest event */
  sequence: number;
}

export interface StoredEvent {
  sequence: number;
  type: string;
  data: Record<string, unknown>;
  createdAt: Date;
}

/** At most so far the clocks of gateways, which ids have their time from, are from Postgres', which says when a job was made. */
const CLOCKS_DIFFER_MS = 3_600_000;

/** Reads of jobs. What makes one is in `job-intents.store.ts`, what changes one in `job-changes.store.ts`. */
@Injectable()
export class JobsStore {
  constructor(private readonly prisma: PrismaService) {}

  async find(tenantId: string, kind: JobKind, id: string): Promise<JobWithCallback | null> {
    const [row] = await this.prisma.$queryRaw<(JobRow & { callback: CallbackState })[]>`
      select ${JOB_COLUMNS}, ${CALLBACK_STATE} as callback
        from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.id = ${id}::uuid and j.kind = ${kind}`;
    return row ? { job: toJobRecord(row), callback: row.callback } : null;
  }

  /** @throws Problem 404 */
  async get(tenantId: string, kind: JobKind, id: string): Promise<JobWithCallback> {
    const found = await this.find(tenantId, kind, id);
    if (!found) throw Problem.notFound(kind === 'video' ? 'The job' : 'The image');
    return found;
  }

  /** How these jobs stand, in any order; one that is not there is left out. Each is asked for by its own tenant. */
  findStandings(jobs: JobRef[]): Promise<(JobRef & JobStanding)[]> {
    return this.prisma.$queryRaw<(JobRef & JobStanding)[]>`
      select j.tenant_id as "tenantId", j.id, j.status, j.status_reason as "statusReason", j.sequence
        from unnest(${jobs.map(({ tenantId }) => tenantId)}::uuid[], ${jobs.map(({ id }) => id)}::uuid[])
             as watched(tenant_id, id)
       cross join jobs j
       where j.tenant_id = watched.tenant_id and j.id = watched.id`;
  }

  /** The account that the tenant's jobs are sent with now. */
  async findAccountOf(tenantId: string): Promise<string | null> {
    const [row] = await this.prisma.$queryRaw<{ accountId: string }[]>`
      select t.account_id as "accountId" from tenants t where t.id = ${tenantId}::uuid`;
    return row?.accountId ?? null;
  }

  /** The record as it is now, with the database's time, to work on. */
  async findRecord(tenantId: string, id: string): Promise<JobWithTime | null> {
    const [row] = await this.prisma.$queryRaw<(JobRow & { now: Date })[]>`
      select ${JOB_COLUMNS}, now() as now from jobs j where j.tenant_id = ${tenantId}::uuid and j.id = ${id}::uuid`;
    return row ? withTime(row) : null;
  }

  /** Newest first. Those with an undelivered callback in the order of their ids, which hold the time of their making too. */
  async findPage(
    tenantId: string,
    filter: JobFilter,
    limit: number,
    after: PagePosition | undefined,
  ): Promise<JobWithCallback[]> {
    const [among, order] = filter.undelivered
      ? [undelivered(tenantId, filter, limit, after), Prisma.sql`j.id desc`]
      : [candidates(tenantId, filter, limit, after), Prisma.sql`j.created_at desc, j.id desc`];
    const rows = await this.prisma.$queryRaw<(JobRow & { callback: CallbackState })[]>`
      select ${JOB_COLUMNS}, ${CALLBACK_STATE} as callback
        from (${among}) j
       order by ${order}
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

/** Jobs among which the newest that match are. Whatever is rare is found without reading the others. */
function candidates(tenantId: string, filter: JobFilter, limit: number, after: PagePosition | undefined): Prisma.Sql {
  const conditions = Prisma.join(
    [
      matching(tenantId, filter),
      ...(after ? [Prisma.sql`(x.created_at, x.id) < (${after.createdAt}::timestamptz, ${after.id}::uuid)`] : []),
    ],
    ' and ',
  );
  const newest = Prisma.sql`x.created_at desc, x.id desc limit ${limit}::int`;
  if (filter.statuses.length === 0) return Prisma.sql`select * from jobs x where ${conditions} order by ${newest}`;
  // One index range a status. Not "equal": then the index without the status would have them in this order too.
  return Prisma.sql`
    select picked.*
      from (select distinct status from unnest(${filter.statuses}::text[]) as given(status)) as wanted
     cross join lateral (
           select * from jobs x
            where ${conditions} and x.status >= wanted.status and x.status <= wanted.status
            order by x.status, ${newest}) picked`;
}

/**
 * The newest jobs by id that match and have an undelivered callback. Each is looked up by its key: what stands inside a case makes
 * no other index look as good.
 */
function undelivered(tenantId: string, filter: JobFilter, limit: number, after: PagePosition | undefined): Prisma.Sql {
  const ofStatus =
    filter.statuses.length === 0 ? Prisma.empty : Prisma.sql`and x.status = any(${filter.statuses}::text[])`;
  return Prisma.sql`
    select picked.*
      from (${undeliveredJobs(tenantId, idsOf(filter, after))}) as wanted
     cross join lateral (
           select * from jobs x
            where x.id = wanted.job_id and case when x.id is not null then ${matching(tenantId, filter)} ${ofStatus} end
           offset 0) picked
     order by wanted.job_id desc limit ${limit}::int`;
}

/** Between which ids the jobs of a page are, with room for clocks that differ: of a long outage only that time is read. */
function idsOf({ createdAfter, createdBefore }: JobFilter, after: PagePosition | undefined): JobIdRange {
  const least = createdAfter && leastIdAt(createdAfter.getTime() - CLOCKS_DIFFER_MS);
  const most = createdBefore && leastIdAt(createdBefore.getTime() + CLOCKS_DIFFER_MS);
  const [before] = [after?.id, most].filter((id) => id !== undefined).sort();
  return { after: least, before };
}

/** Conditions on `jobs x`, without those on its status and on where a page begins. */
function matching(tenantId: string, { kind, externalId, createdAfter, createdBefore }: JobFilter): Prisma.Sql {
  return Prisma.join(
    [
      Prisma.sql`x.tenant_id = ${tenantId}::uuid and x.kind = ${kind}`,
      ...(externalId !== undefined ? [Prisma.sql`x.external_id = ${externalId}`] : []),
      ...(createdAfter ? [Prisma.sql`x.created_at > ${createdAfter}::timestamptz`] : []),
      ...(createdBefore ? [Prisma.sql`x.created_at < ${createdBefore}::timestamptz`] : []),
    ],
    ' and ',
  );
}
