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

/** The jobs of a tenant with a webhook that has not got through, `(job_id)`: read along the index of such webhooks. */
export function undeliveredJobs(tenantId: string): Prisma.Sql {
  return Prisma.sql`
    select distinct u.job_id
      from (select d.job_id from webhook_deliveries d
             where d.tenant_id = ${tenantId}::uuid and d.status in ('pending', 'failing', 'exhausted')
               and d.endpoint_id is null and d.job_id is not null
             order by d.status, d.created_at desc, d.id desc offset 0) u`;
}
