import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import type { Lease } from '../../common/loops/lease.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { JOB_COLUMNS, withTime, type JobRow, type JobWithTime } from './job-rows.js';
import { PUT_OFF } from './reconciliation/put-off.sql.js';
import { unknownEqual } from './reconciliation/unknown-equal.sql.js';
import type { Walk } from './tenant-ring.js';
import { turns, type Turn } from './turns.sql.js';

/** A job that is to be sent, with the token of the account that it was claimed for. */
export interface ClaimedJob extends JobWithTime {
  tokenCiphertext: string;
}

/** What a claim came to. `putOff` counts the rows that wait for an equal one. */
export interface Claims {
  jobs: ClaimedJob[];
  putOff: number;
  walk: Walk;
}

type ClaimedRow = JobRow & { now: Date; tokenCiphertext: string };
/** What every row tells beside its job, and one row when there is no job. */
type Outcome = Walk & { putOff: number };

/** What the submitter asks for: jobs to be sent, jobs whose sender died. */
@Injectable()
export class JobClaimsStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Takes parked jobs that are due and commits the attempt: from then on the row counts as sent until its outcome is
   * known. Tenants take turns. A row whose equal is of unknown outcome is put off, and with it the others that are equal.
   */
  async claimDueAnyTenant(lease: Lease, turn: Turn): Promise<Claims> {
    const rows = await this.prisma.$rows<(ClaimedRow | { id: null }) & Outcome>`
      with ${turns(turn)}, due as (
        select d.*
          from candidate c
         cross join lateral (
           select x.id, x.observable_key, x.status_reason is distinct from 'outcome_unknown' as newly,
                  t.account_id, t.token_ciphertext,
                  exists (${unknownEqual(Prisma.sql`t.account_id`, Prisma.sql`x.observable_key`)}) as waits
             from jobs x
             join tenants t on t.id = x.tenant_id
            -- By its key: inside a case, the condition makes no index of what waits look as good.
            where x.tenant_id = c.tenant_id and x.id = c.id
              and case when x.status = 'submitting' then x.due_at <= now() end
              and t.status = 'active' and t.token_ciphertext is not null
              -- A tenant that is being changed at this moment gets its turn at the next claim: nobody waits for it.
              for update of x skip locked for key share of t skip locked) d
      ), j as (
        update jobs
           set lease_token = ${lease.token}::uuid, due_at = null, account_id = due.account_id, called_at = now(),
               lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond',
               status_reason = 'sending', attempt = attempt + 1, sequence = sequence + 1, updated_at = now()
          from due where jobs.id = any(array[due.id]) and not due.waits
        returning jobs.*, due.token_ciphertext
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select j.id, j.sequence, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.sending',
               jsonb_build_object('attempt', j.attempt)
          from j
      ), ${PUT_OFF}
      select ${JOB_COLUMNS}, now() as now, j.token_ciphertext as "tokenCiphertext", p.count as "putOff",
             w.ended_at as "endedAt", w.whole
        from walk w
       cross join (select count(*)::int from put_off) p
        left join j on true`;
    const { putOff, endedAt, whole } = rows[0] ?? { putOff: 0, endedAt: turn.after, whole: true };
    return { jobs: rows.filter(isClaimed).map(toClaimedJob), putOff, walk: { endedAt, whole } };
  }

  /** The rows that these claims hold. All that is being sent is walked over, which is what calls are under way. */
  async findHeldAnyTenant(leaseTokens: string[]): Promise<JobWithTime[]> {
    const rows = await this.prisma.$queryRaw<(JobRow & { now: Date })[]>`
      select ${JOB_COLUMNS}, now() as now
        from jobs j
       where j.lease_expires_at is not null and j.status = 'submitting'
         and case when j.status = 'submitting' then j.lease_token = any(${leaseTokens}::uuid[]) end
       order by j.lease_expires_at`;
    return rows.map(withTime);
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

function isClaimed(row: (ClaimedRow | { id: null }) & Outcome): row is ClaimedRow & Outcome {
  return row.id !== null;
}

function toClaimedJob({
  tokenCiphertext,
  putOff: _p,
  endedAt: _e,
  whole: _w,
  ...row
}: ClaimedRow & Outcome): ClaimedJob {
  return { ...withTime(row), tokenCiphertext };
}
