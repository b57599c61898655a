import { Injectable } from '@nestjs/common';
import type { Lease } from '../../../common/loops/lease.js';
import { DUE_NOW } from '../../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../../common/prisma/prisma.service.js';
import { DatabaseTime } from '../../../common/time/database-time.js';
import { JOB_COLUMNS, toJobRecord, type JobRow } from '../job-rows.js';
import type { JobRecord } from '../job-record.js';
import { CLEAN_LOOKS_NEEDED } from './judgement.js';

/** An account with jobs of unknown outcome, and a tenant of it whose token can be used to look. */
export interface ClaimedAccount {
  accountId: string;
  /** null when no tenant has a token */
  tenantId: string | null;
  tokenCiphertext: string | null;
  /** milliseconds until the token may be used; 0 at once */
  restMs: number;
  /** looks that failed in a row */
  failures: number;
}

export interface UnknownJob {
  job: JobRecord;
  /** the latest time at which one that TensorPix's list cannot tell from it was found to be unknown too */
  equalsUnknownSince: Date | null;
  /** calls for it whose outcome was unknown, by its history: others were parked or given back */
  unknownCalls: number;
}

type UnknownRow = JobRow & Omit<UnknownJob, 'job'> & { now: Date };

/** A key is looked for whole: rows of it that a look leaves out could be those whose jobs it sees. So the last one may go beyond this. */
const UNKNOWN_A_LOOK = 1_000;
/** So long after its call a job may be found that a person has given up, and so many of a key are thought of, the latest ones. */
const GIVEN_UP_DAYS = 30;
const GIVEN_UP_A_KEY = 200;

/** Claims on accounts, and what a look has to know of them. An account can have several tenants, so none is named here. */
@Injectable()
export class AccountsStore {
  constructor(private readonly prisma: PrismaService) {}

  claimDueAnyAccount(lease: Lease, limit: number): Promise<ClaimedAccount[]> {
    return this.prisma.$queryRaw<ClaimedAccount[]>`
      with due as (
        select a.id
          from tensorpix_accounts a
         where a.reconcile_due_at <= now()
           and (a.reconcile_lease_expires_at is null or a.reconcile_lease_expires_at < now())
         order by a.reconcile_due_at
         limit ${limit}::int
           for no key update of a skip locked
      ), claimed as (
        update tensorpix_accounts a
           set reconcile_lease_token = ${lease.token}::uuid,
               reconcile_lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond',
               reconcile_due_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond'
         where a.id = any(array(select id from due))
        returning a.id, a.reconcile_failures
      )
      select c.id as "accountId", c.reconcile_failures as failures, t.id as "tenantId",
             t.token_ciphertext as "tokenCiphertext", coalesce(t.rest_ms, 0) as "restMs"
        from claimed c
        left join lateral (
          select t.id, t.token_ciphertext, extract(epoch from p.rest_until - now())::float8 * 1000 as rest_ms
            from tenants t
            left join tenant_paces p on p.tenant_id = t.id and p.rest_until > now()
           where t.account_id = c.id and t.token_ciphertext is not null
           order by t.token_status = 'rejected', p.rest_until nulls first, t.id
           limit 1) t on true`;
  }

  /** Prolongs a claim before it ends. @returns false when it was gone */
  async renew(accountId: string, lease: Lease): Promise<boolean> {
    const renewed = await this.prisma.$executeRaw`
      update tensorpix_accounts
         set reconcile_due_at = case when reconcile_due_at <= now() then reconcile_due_at
                                     else now() + ${lease.durationMs}::float8 * interval '1 millisecond' end,
             reconcile_lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond'
       where id = ${accountId}::uuid and reconcile_lease_token = ${lease.token}::uuid and reconcile_lease_expires_at > now()`;
    return renewed === 1;
  }

  /**
   * Ends a claim. What has become unknown meanwhile has made the account due already, and is looked at sooner.
   *
   * @param nextLookInMs null when nothing is left to be looked for
   * @returns false when the claim was gone
   */
  async release(accountId: string, lease: Lease, nextLookInMs: number | null, failures: number): Promise<boolean> {
    const released = await this.prisma.$executeRaw`
      update tensorpix_accounts
         set reconcile_lease_token = null, reconcile_lease_expires_at = null, reconcile_failures = ${failures}::int,
             reconcile_due_at = case when reconcile_due_at <= now() then reconcile_due_at
                                     else now() + ${nextLookInMs}::float8 * interval '1 millisecond' end
       where id = ${accountId}::uuid and reconcile_lease_token = ${lease.token}::uuid`;
    return released === 1;
  }

  /** Accounts with unknown jobs and no look planned: the net under the wake-up of a job that becomes unknown. */
  async wakeForgottenAnyAccount(): Promise<number> {
    return this.prisma.$executeRaw`
      update tensorpix_accounts a
         set reconcile_due_at = ${DUE_NOW}
       where a.id = any(array(
         select l.id from tensorpix_accounts l
          where l.reconcile_due_at is null and l.id = any(array(
            select j.account_id from jobs j
             where j.status = 'unconfirmed' and j.status_reason is distinct from 'outcome_unknown'
               and j.observable_key is not null and j.clean_looks < ${CLEAN_LOOKS_NEEDED}::int))
            for no key update skip locked))`;
  }

  /**
   * The jobs of an account that may or may not be at TensorPix, with the database's time. When they are very many, only those of
   * the keys that have been unknown for longest, keys that wait for a person last.
   */
  async findUnknown(accountId: string): Promise<{ unknown: UnknownJob[]; time: DatabaseTime }> {
    const askedAtMs = performance.now();
    const rows = await this.prisma.$queryRaw<UnknownRow[]>`
      select ${JOB_COLUMNS}, clock.now,
             (select max(e.unknown_since) from jobs e
               where e.account_id = j.account_id and e.observable_key = j.observable_key
                 and e.unknown_since is not null) as "equalsUnknownSince",
             case when j.attempt < 2 then 1
                  else (select count(*)::int from job_events e where e.job_id = j.id and e.type = 'job.unconfirmed')
             end as "unknownCalls"
        from (select now() as now) clock
        left join (
          select u.*
            from (
              select k.*, sum(k.rows) over (order by k.left_to_person, k.since, k.observable_key) - k.rows as rows_before
                from (
                  select u.observable_key, count(*) as rows, min(u.unknown_since) as since,
                         bool_and(u.status_reason is not distinct from 'outcome_unknown') as left_to_person
                    from jobs u
                   where u.account_id = ${accountId}::uuid and u.status = 'unconfirmed' and u.observable_key is not null
                     and u.clean_looks < ${CLEAN_LOOKS_NEEDED}::int
                   group by u.observable_key) k) w
           cross join lateral (
             select * from jobs x
              where x.account_id = ${accountId}::uuid and x.status = 'unconfirmed' and x.observable_key = w.observable_key
                and x.clean_looks < ${CLEAN_LOOKS_NEEDED}::int
             offset 0) u
           where w.rows_before < ${UNKNOWN_A_LOOK}::int) j on true`;
    const now = rows[0]?.now ?? new Date();
    const unknown = rows
      .filter(({ id }) => id !== null)
      .map(({ equalsUnknownSince, unknownCalls, ...row }) => ({
        job: toJobRecord(row),
        equalsUnknownSince,
        unknownCalls,
      }));
    return { unknown, time: new DatabaseTime(now, askedAtMs) };
  }

  /**
   * Jobs of these keys that a person has given up while nobody knew whether TensorPix has them. What shows up of them is not the job
   * of an equal row that asked for something else.
   */
  async findGivenUp(accountId: string, observableKeys: string[]): Promise<JobRecord[]> {
    const rows = await this.prisma.$queryRaw<JobRow[]>`
      select ${JOB_COLUMNS}
        from unnest(${observableKeys}::text[]) as k(key)
       cross join lateral (
         select * from jobs x
          where x.account_id = ${accountId}::uuid and x.observable_key = decode(k.key, 'hex')
            and x.unknown_since is not null and x.unknown_since > now() - ${GIVEN_UP_DAYS}::int * interval '1 day'
            -- Inside a case no other index looks as good.
            and case when x.unknown_since is not null
                     then x.status = 'failed' and x.tensorpix_id is null and x.clean_looks < ${CLEAN_LOOKS_NEEDED}::int end
          order by x.observable_key, x.unknown_since desc
          limit ${GIVEN_UP_A_KEY}::int) j`;
    return rows.map(toJobRecord);
  }

  /** The newest job that the account has at TensorPix for certain: a list without it is not whole. */
  async findNewestActive(accountId: string): Promise<number | null> {
    const [row] = await this.prisma.$queryRaw<{ id: bigint }[]>`
      select j.tensorpix_id as id
        from jobs j
       where j.account_id = ${accountId}::uuid and j.status in ('queued', 'processing') and j.tensorpix_id is not null
       order by j.submitted_at desc
       limit 1`;
    return row ? Number(row.id) : null;
  }

  /** Which of these ids rows of the account own, with the observable keys of what was sent for them; null: there is none. */
  async findOwned(accountId: string, tensorpixIds: number[]): Promise<Map<number, string | null>> {
    const rows = await this.prisma.$queryRaw<{ id: bigint; key: string | null }[]>`
      select j.tensorpix_id as id, encode(j.observable_key, 'hex') as key
        from jobs j
       where j.account_id = ${accountId}::uuid and j.tensorpix_id = any(${tensorpixIds}::bigint[])`;
    return new Map(rows.map(({ id, key }) => [Number(id), key]));
  }

  /**
   * Which of these keys have a call under way, one whose sender died and is not settled yet, or one that has become unknown
   * since the look began: it is none of `judgedIds`, and one of the jobs that were seen may be its own.
   */
  async findInFlight(accountId: string, observableKeys: string[], judgedIds: string[]): Promise<Set<string>> {
    const rows = await this.prisma.$queryRaw<{ key: string }[]>`
      with wanted as (
        select k.key, decode(k.key, 'hex') as observable from unnest(${observableKeys}::text[]) as k(key)
      )
      select w.key from wanted w
       where exists (select 1 from jobs j
                      where j.account_id = ${accountId}::uuid and j.observable_key = w.observable
                        and j.status = 'submitting' and j.due_at is null and j.lease_token is not null)
          or exists (select 1 from jobs j
                      where j.account_id = ${accountId}::uuid and j.observable_key = w.observable
                        and j.status = 'unconfirmed' and j.clean_looks < ${CLEAN_LOOKS_NEEDED}::int
                        and j.id <> all(${judgedIds}::uuid[]))`;
    return new Set(rows.map(({ key }) => key));
  }
}
