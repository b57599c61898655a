import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import type { Lease } from '../../common/loops/lease.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { JOB_COLUMNS, withTime, type JobRow, type JobWithTime } from './job-rows.js';
import { EQUAL_RECHECK_MS, unknownEqual } from './reconciliation/unknown-equal.sql.js';

/** A job that is to be sent, with the token of the account that it was claimed for. */
export interface ClaimedJob extends JobWithTime {
  tokenCiphertext: string;
}

/** What a claim came to. `putOff` counts the rows that wait for an equal one. */
export interface Claims {
  jobs: ClaimedJob[];
  putOff: number;
}

const FIRST_WAITING_TENANT = Prisma.sql`
  select j.tenant_id from jobs j where j.status = 'submitting' and j.due_at is not null`;
const PUT_OFF_A_STATEMENT = 1_000;

/** What the submitter asks for: jobs to be sent, jobs whose sender died. */
@Injectable()
export class JobClaimsStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Takes parked jobs that are due and commits the attempt: from then on the row counts as sent until its outcome is
   * known. One index range a tenant, so that the rows of one that is suspended, busy or resting are not even read. A row
   * whose equal is of unknown outcome is put off, and with it the others that are equal.
   */
  async claimDueAnyTenant(lease: Lease, limit: number, tenants: { most: number; busy: string[] }): Promise<Claims> {
    const rows = await this.prisma.$queryRaw<(JobRow & { now: Date; tokenCiphertext: string; putOff: number })[]>`
      with recursive waiting as (
        (${FIRST_WAITING_TENANT} order by j.tenant_id limit 1)
        union all
        select (${FIRST_WAITING_TENANT} and j.tenant_id > w.tenant_id order by j.tenant_id limit 1)
          from waiting w where w.tenant_id is not null
      ), candidate as (
        select c.*, t.account_id as current_account
          from waiting w
          join tenants t on t.id = w.tenant_id and t.status = 'active' and t.token_ciphertext is not null
          left join tenant_paces p on p.tenant_id = w.tenant_id
         cross join lateral (
           select x.id, x.due_at, x.observable_key, row_number() over (order by x.due_at) as place
             from jobs x
            where x.tenant_id = w.tenant_id and x.status = 'submitting' and x.due_at <= now()
            order by x.due_at
            limit ${tenants.most}::int) c
         where coalesce(greatest(p.rest_until, p.hold_until) <= now(), true) and w.tenant_id <> all(${tenants.busy}::uuid[])
         order by c.place, c.due_at
         limit ${limit}::int
      ), due as (
        select x.id, x.observable_key, t.account_id, t.token_ciphertext,
               exists (${unknownEqual(Prisma.sql`t.account_id`, Prisma.sql`x.observable_key`)}) as waits
          from jobs x
          join tenants t on t.id = x.tenant_id
         where x.id in (select id from candidate)
           and x.status = 'submitting' and x.due_at <= now() and t.status = 'active'
           -- A token that is being replaced at this moment is waited for, and read again.
           for update of x skip locked for key share of t
      ), j as (
        update jobs
           set lease_token = ${lease.token}::uuid, due_at = null, account_id = due.account_id, called_at = now(),
               lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond',
               status_reason = 'sending', attempt = attempt + 1, sequence = sequence + 1, updated_at = now()
          from due where jobs.id = due.id and not due.waits
        returning jobs.*, due.token_ciphertext
      ), waiting_equal as (
        select x.id, x.status_reason is distinct from 'outcome_unknown' as newly
          from jobs x
         where (x.id in (select id from due where waits)
                or (x.account_id, x.observable_key) in (select account_id, observable_key from due where waits))
           and x.status = 'submitting' and x.due_at <= now()
         limit ${PUT_OFF_A_STATEMENT}::int
           for update of x skip locked
      ), put_off as (
        update jobs
           set due_at = now() + ${EQUAL_RECHECK_MS}::float8 * interval '1 millisecond', status_reason = 'outcome_unknown',
               sequence = sequence + w.newly::int, updated_at = now()
          from waiting_equal w where jobs.id = w.id
        returning jobs.id, jobs.tenant_id, jobs.sequence, jobs.due_at, w.newly
      ), put_off_event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select w.id, w.sequence, w.tenant_id, 'job.parked', jsonb_build_object('reason', 'outcome_unknown', 'due_at', w.due_at)
          from put_off w where w.newly
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select j.id, j.sequence, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.sending',
               jsonb_build_object('attempt', j.attempt)
          from j
      )
      select ${JOB_COLUMNS}, now() as now, j.token_ciphertext as "tokenCiphertext", p.count as "putOff"
        from (select count(*)::int from put_off) p
        left join j on true`;
    const claimed = rows.filter(({ id }) => id !== null);
    return {
      jobs: claimed.map(({ tokenCiphertext, putOff: _, ...row }) => ({ ...withTime(row), tokenCiphertext })),
      putOff: rows[0]?.putOff ?? 0,
    };
  }

  /** Rows whose sender died or stalled: the call may have been made. */
  async findExpiredSendsAnyTenant(limit: number): Promise<JobWithTime[]> {
    const rows = await this.prisma.$queryRaw<(JobRow & { now: Date })[]>`
      select ${JOB_COLUMNS}, now() as now
        from jobs j
       where j.lease_expires_at < now() and j.status = 'submitting'
       order by j.lease_expires_at
       limit ${limit}::int`;
    return rows.map(withTime);
  }
}
