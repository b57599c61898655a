import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../../common/prisma/prisma.service.js';
import type { UpstreamJob } from '../../tensorpix/answers.js';
import { PROGRESS_STEP } from '../job-observation.js';
import { JOB_COLUMNS, withTime, type JobRow, type JobWithTime } from '../job-rows.js';

/** What a tenant has at TensorPix, as much of it as planning a look needs. */
export interface ActiveJobs {
  /** TensorPix's ids */
  ids: number[];
  /** of these, those whose cancel TensorPix has not confirmed */
  cancels: number[];
  /** the shortest time that one has been in the queue; null when none is */
  youngestQueuedMs: number | null;
}

/** Progress by less is no change, and so is an ETA that moved by less than this, or by less than a tenth of itself. */
const LEAST_PROGRESS = 0.01;
const LEAST_ETA_S = 5;

/** What looks read of the jobs at TensorPix, and the writes that are no events. */
@Injectable()
export class ObservationsStore {
  constructor(private readonly prisma: PrismaService) {}

  /** All in one row: a tenant may have a hundred thousand. */
  async findActive(tenantId: string): Promise<ActiveJobs> {
    const [row] = await this.prisma.$queryRaw<{ ids: string; cancels: string; youngestQueuedMs: number | null }[]>`
      select coalesce(string_agg(j.tensorpix_id::text, ','), '') as ids,
             coalesce(string_agg(j.tensorpix_id::text, ',') filter (where j.cancel_requested_at is not null), '') as cancels,
             (extract(epoch from now() - max(j.submitted_at) filter (where j.status = 'queued')) * 1000)::float8
               as "youngestQueuedMs"
        from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.status in ('queued', 'processing') and j.tensorpix_id is not null`;
    const { ids = '', cancels = '', youngestQueuedMs = null } = row ?? {};
    return { ids: readIds(ids), cancels: readIds(cancels), youngestQueuedMs };
  }

  /**
   * Compares what TensorPix shows with the rows, as one statement for a page. Progress that is no event is written here,
   * under the claim; a row that shows no change is not written; the rest is for `observe` to judge.
   *
   * @returns the rows whose observation may be more than progress
   */
  async findChanged(tenantId: string, leaseToken: string, seen: UpstreamJob[]): Promise<JobWithTime[]> {
    const rows = await this.prisma.$rows<JobRow & { now: Date }>`
      with seen as materialized (
        select * from json_to_recordset(${JSON.stringify(seen.map(toSeenRow))}::json) as s(
          id bigint, status text, progress float8, eta float8, cost numeric)
      ), compared as materialized (
        select j.id, j.status, s.progress, s.eta,
               s.status <> j.status or j.missing_since is not null or j.result_awaited_since is not null
                 or coalesce(s.cost <> coalesce(j.cost_credits, -1), false)
                 or coalesce(s.progress - j.reported_progress >= ${PROGRESS_STEP}::float8, false) as matters,
               coalesce(s.progress - coalesce(j.progress, -1) >= ${LEAST_PROGRESS}::float8, false)
                 or (s.eta is null) <> (j.eta_seconds is null)
                 or coalesce(abs(s.eta - j.eta_seconds) >= greatest(${LEAST_ETA_S}::float8, j.eta_seconds / 10), false) as moved
          from seen s
          join jobs j on j.tenant_id = ${tenantId}::uuid and j.tensorpix_id = s.id and j.status in ('queued', 'processing')
      ), free as materialized (
        -- In the order of all other writes; progress that has to wait for one of them is news at the next look.
        select j.id from jobs j
         where j.id = any(array(select c.id from compared c where c.moved and not c.matters))
         order by j.id
           for update skip locked
      ), progress as (
        update jobs j
           set progress = greatest(c.progress, j.progress), eta_seconds = c.eta, updated_at = now()
          from free f
          join compared c on c.id = f.id
         where j.id = any(array[f.id]) and j.status = c.status
           and ${leaseToken}::uuid = (
             select p.poll_lease_token from tenant_paces p
              where p.tenant_id = ${tenantId}::uuid and p.poll_lease_expires_at > now())
      )
      select ${JOB_COLUMNS}, now() as now from compared c join jobs j on j.id = any(array[c.id]) where c.matters`;
    return rows.map(withTime);
  }

  /** The row that one of TensorPix's ids belongs to, if it has not ended. */
  async findActiveRow(tenantId: string, tensorpixId: number): Promise<JobWithTime | null> {
    const rows = await this.prisma.$queryRaw<(JobRow & { now: Date })[]>`
      select ${JOB_COLUMNS}, now() as now
        from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.status in ('queued', 'processing')
         and j.tensorpix_id = ${tensorpixId}::bigint`;
    return rows.map(withTime)[0] ?? null;
  }
}

function readIds(text: string): number[] {
  return text === '' ? [] : text.split(',').map(Number);
}

function toSeenRow({ id, status, progress, etaSeconds, costCredits }: UpstreamJob): Record<string, unknown> {
  return { id, status, progress, eta: etaSeconds, cost: costCredits };
}
