import { Prisma } from '../../generated/prisma/client.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import type { NewDelivery } from './webhook-types.js';

/** How often a webhook must have failed for the last one of its job to take its place (contract, section 7). */
const FAILURES_UNTIL_SUPERSEDED = 5;

/**
 * Parts of the statement that writes a change of jobs: its webhooks are committed with it. Both refer to the part
 * `changed (id)`, the jobs that really changed.
 */
export function insertDeliveries(deliveries: NewDelivery[]): Prisma.Sql {
  const rows = deliveries.map(({ id, tenantId, jobId, sequence, type, url, body }) => ({
    id,
    tenant_id: tenantId,
    job_id: jobId,
    sequence,
    event_type: type,
    url,
    origin: new URL(url).origin,
    body,
  }));
  return Prisma.sql`delivery as (
    insert into webhook_deliveries (id, tenant_id, job_id, sequence, event_type, url, origin, body, due_at)
    select d.id, d.tenant_id, d.job_id, d.sequence, d.event_type, d.url, d.origin, d.body, ${DUE_NOW}
      from json_to_recordset(${JSON.stringify(rows)}::json) as d(
        id uuid, tenant_id uuid, job_id uuid, sequence integer, event_type text, url text, origin text, body text)
      join changed c on c.id = d.job_id
  )`;
}

/**
 * What the new webhooks make pointless: progress that was not delivered yet, and, when the job ends, whatever has
 * failed five times. A webhook that is being sent at this moment is left to its sender.
 */
export function supersedeDeliveries(deliveries: NewDelivery[]): Prisma.Sql {
  const rows = deliveries.map(({ tenantId, jobId, ends }) => ({ tenant_id: tenantId, job_id: jobId, ends }));
  return Prisma.sql`superseded as (
    update webhook_deliveries old
       set status = 'superseded', updated_at = now()
      from json_to_recordset(${JSON.stringify(rows)}::json) as n(tenant_id uuid, job_id uuid, ends boolean)
      join changed c on c.id = n.job_id
     where old.job_id = n.job_id and old.tenant_id = n.tenant_id and old.status in ('pending', 'failing')
       and (old.lease_expires_at is null or old.lease_expires_at < now())
       and (old.event_type = 'job.progress' or (n.ends and old.attempts >= ${FAILURES_UNTIL_SUPERSEDED}::int))
  )`;
}

/** What makes `webhook_deliveries d`, which has just failed, pointless: it was under way when that was written. */
export function supersederOf(): Prisma.Sql {
  return Prisma.sql`
    select 1 from webhook_deliveries later
     where later.job_id = d.job_id and later.url = d.url and later.sequence > d.sequence
       and (d.event_type = 'job.progress'
            or (d.attempts + 1 >= ${FAILURES_UNTIL_SUPERSEDED}::int
                and later.event_type in ('job.finished', 'job.failed', 'job.canceled')))`;
}
