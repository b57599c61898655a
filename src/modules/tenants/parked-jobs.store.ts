import { Injectable } from '@nestjs/common';
import { waitForAll } from '../../common/loops/wait-for-all.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';

const HURRIED_A_STATEMENT = 1_000;
/** What whoever replaces a token waits for; what is left after so many is for the sweeper. */
const HURRYING_STATEMENTS = 10;
/** Each has a connection meanwhile. */
const TENANTS_AT_ONCE = 4;

interface Batch {
  count: number;
  last: Date | null;
}

/**
 * Jobs that wait because an account refused them, and need not any more: the token was replaced, which ended the hold. A pace
 * that has the reason of a hold without its time is of a tenant some of whose jobs may still have to be made due.
 */
@Injectable()
export class ParkedJobsStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Makes due what waits for the account, batch by batch. What another session is writing at the same moment is left to it.
   *
   * @returns false when there may be more
   */
  async hurry(tenantId: string): Promise<boolean> {
    let reached = new Date(0);
    for (let statements = 0; statements < HURRYING_STATEMENTS; statements += 1) {
      const { count, last } = await this.hurryBatch(tenantId, reached);
      if (count < HURRIED_A_STATEMENT || last === null) {
        await this.noteHurried(tenantId);
        return true;
      }
      reached = last;
    }
    return false;
  }

  /**
   * Goes on with what was left when a token was replaced, because it was much or the process that did it died. Walks the
   * tenants with waiting jobs. What fails for one of them keeps the others from nothing.
   *
   * @returns true when there is more
   */
  async hurryLeftAnyTenant(): Promise<boolean> {
    const ids = await this.findUnhurried();
    const whole = await waitForAll(ids.map((id) => this.hurry(id)));
    return whole.includes(false) || ids.length === TENANTS_AT_ONCE;
  }

  /** @param reached what is due sooner and waits for the account was made due by an earlier batch */
  private async hurryBatch(tenantId: string, reached: Date): Promise<Batch> {
    const [batch] = await this.prisma.$queryRaw<Batch[]>`
      with parked as materialized (
        select j.id, j.due_at from jobs j
         where j.tenant_id = ${tenantId}::uuid and j.status = 'submitting'
           and j.due_at > now() and j.due_at >= ${reached}::timestamptz
           and j.status_reason in ('token_rejected', 'insufficient_credits', 'storage_full')
         order by j.due_at
         limit ${HURRIED_A_STATEMENT}::int
           for update skip locked
      ), hurried as (
        update jobs set due_at = ${DUE_NOW} where id = any(array(select id from parked))
      )
      select count(*)::int as count, max(due_at) as last from parked`;
    return batch ?? { count: 0, last: null };
  }

  private async noteHurried(tenantId: string): Promise<void> {
    await this.prisma.$executeRaw`
      update tenant_paces set hold_reason = null where tenant_id = ${tenantId}::uuid and hold_until is null`;
  }

  private async findUnhurried(): Promise<string[]> {
    const rows = await this.prisma.$queryRaw<{ id: string }[]>`
      with recursive waiting as (
        (select j.tenant_id from jobs j where j.status = 'submitting' and j.due_at is not null
          order by j.tenant_id, j.due_at limit 1)
         union all
        select (select j.tenant_id from jobs j
                 where j.status = 'submitting' and j.due_at is not null and j.tenant_id > w.tenant_id
                 order by j.tenant_id, j.due_at limit 1)
          from waiting w
         where w.tenant_id is not null
      )
      select p.tenant_id as id
        from waiting w
        join tenant_paces p on p.tenant_id = any(array[w.tenant_id]) and p.hold_until is null and p.hold_reason is not null
       limit ${TENANTS_AT_ONCE}::int`;
    return rows.map(({ id }) => id);
  }
}
