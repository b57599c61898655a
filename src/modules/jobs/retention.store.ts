import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { OPEN } from '../webhooks/deliveries.sql.js';

/** Place of a job among those that have ended, oldest first. */
export interface EndedPosition {
  finishedAt: Date;
  id: string;
}

export interface Removed {
  /** jobs that were old enough, the removed ones among them */
  found: number;
  removed: number;
  /** of the last one found; null when none was */
  last: EndedPosition | null;
}

const BEGINNING: EndedPosition = { finishedAt: new Date(0), id: '00000000-0000-0000-0000-000000000000' };

/** Takes away what has been kept long enough. */
@Injectable()
export class RetentionStore {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Removes jobs and images that ended long ago, with their events, deliveries, attempts and keys. What has an undelivered
   * webhook stays: so many are passed over that the next batch begins after them.
   *
   * @param after null begins with the oldest
   */
  async deleteEndedAnyTenant(keptDays: number, after: EndedPosition | null, limit: number): Promise<Removed> {
    const { finishedAt, id } = after ?? BEGINNING;
    const [row] = await this.prisma.$queryRaw<(Omit<Removed, 'last'> & Partial<EndedPosition>)[]>`
      with old as materialized (
        select j.id, j.finished_at
          from jobs j
         where j.finished_at < now() - ${keptDays}::float8 * interval '1 day'
           and (j.finished_at, j.id) > (${finishedAt}::timestamptz, ${id}::uuid)
         order by j.finished_at, j.id
         limit ${limit}::int
      ), free as materialized (
        select j.id
          from jobs j
         where j.id = any(array(
                 select o.id from old o
                  where not exists (
                    -- By the job: inside a case, the condition makes no index of open webhooks look as good.
                    select 1 from webhook_deliveries d
                     where d.job_id = o.id and case when d.job_id is not null then d.status in ${OPEN} end offset 0)))
           for update skip locked
      ), gone as (
        delete from jobs j where j.id = any(array(select id from free)) returning j.id
      )
      select (select count(*)::int from old) as found, (select count(*)::int from gone) as removed,
             l.finished_at as "finishedAt", l.id
        from (select 1) as one
        left join (select o.finished_at, o.id from old o order by o.finished_at desc, o.id desc limit 1) l on true`;
    const { found = 0, removed = 0 } = row ?? {};
    const last = row?.finishedAt && row.id ? { finishedAt: row.finishedAt, id: row.id } : null;
    return { found, removed, last };
  }
}
