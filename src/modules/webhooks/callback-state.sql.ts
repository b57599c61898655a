import { Prisma } from '../../generated/prisma/client.js';

/**
 * How far the callbacks of `jobs j` got: told by the oldest webhook that did not get through, or, when all did, by the
 * newest. A job that ended without any, because its caller got the refusal itself, has none. Derived on reading, because a
 * copy in the row of the job would have to be kept true by every attempt.
 */
export const CALLBACK_STATE = Prisma.sql`
  coalesce(
    (select jsonb_build_object('state', d.status, 'attempts', d.attempts, 'last_error', d.last_error)
       from webhook_deliveries d
      where d.job_id = j.id and case when d.job_id is not null then d.tenant_id = j.tenant_id end
        and d.endpoint_id is null and d.status <> 'superseded'
      order by d.status = 'delivered', case when d.status = 'delivered' then -d.sequence else d.sequence end
      limit 1),
    jsonb_build_object(
      'state', case when j.callback_url is null or j.finished_at is not null then 'none' else 'pending' end,
      'attempts', 0, 'last_error', null))`;

/** Ids of jobs, both ends left out; undefined: no end. */
export interface JobIdRange {
  after: string | undefined;
  before: string | undefined;
}

/**
 * The jobs of a tenant with a callback that has not got through, `(job_id)`, newest id first: read along the index of such
 * callbacks, and no further than the statement around it asks for.
 */
export function undeliveredJobs(tenantId: string, { after, before }: JobIdRange): Prisma.Sql {
  return Prisma.sql`
    select distinct on (d.job_id) d.job_id
      from webhook_deliveries d
     where d.tenant_id = ${tenantId}::uuid and d.status in ('pending', 'failing', 'exhausted')
       and d.endpoint_id is null and d.job_id is not null
       ${after === undefined ? Prisma.empty : Prisma.sql`and d.job_id > ${after}::uuid`}
       ${before === undefined ? Prisma.empty : Prisma.sql`and d.job_id < ${before}::uuid`}
     order by d.job_id desc offset 0`;
}
