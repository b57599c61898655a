import { Prisma } from '../../generated/prisma/client.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { hasStandingReceiver } from '../webhooks/deliveries.sql.js';

/* Parts of the statement that writes changes of jobs, each of which refers to those before it. */

/** What is written without its webhooks has no receiver: one that has just been added is seen here, as it would be there. */
const UNHEARD = Prisma.sql`and not ${hasStandingReceiver(Prisma.sql`i.tenant_id`, Prisma.sql`i.tells`)}`;

/** A row for each change. */
export function changeInput(rows: Record<string, unknown>[]): Prisma.Sql {
  return Prisma.sql`input as (
      select * from json_to_recordset(${JSON.stringify(rows)}::json) as t(
        id uuid, tenant_id uuid, made_from integer, send_lease uuid, poll_lease uuid, reconcile_lease uuid, at_tensorpix boolean,
        cancels boolean, tells text[],
        status text, status_reason text, tensorpix_id bigint, progress float8, eta_seconds float8,
        cost_credits numeric, output jsonb, error jsonb, sequence integer, reported_progress float8,
        attempt integer, unknown_since timestamptz, clean_looks integer, clean_look_at timestamptz,
        doubted_since timestamptz,
        due_at timestamptz, lease_token uuid, lease_expires_at timestamptz,
        cancel_requested_at timestamptz, result_awaited_since timestamptz, missing_since timestamptz,
        missing_looks integer, submitted_at timestamptz, started_at timestamptz, finished_at timestamptz,
        updated_at timestamptz, events json)
    )`;
}

/**
 * The rows that have not moved on, and whose claims stand.
 *
 * @param tells the statement writes webhooks too; else what has a receiver after all is left as it is
 */
export function changedRows(tells: boolean): Prisma.Sql {
  return Prisma.sql`changed as (
      update jobs j
         set status = i.status, status_reason = i.status_reason, tensorpix_id = i.tensorpix_id,
             progress = i.progress, eta_seconds = i.eta_seconds, cost_credits = i.cost_credits, output = i.output,
             error = i.error, sequence = i.sequence, reported_progress = i.reported_progress, attempt = i.attempt,
             unknown_since = case when i.status = 'unconfirmed' and j.status <> 'unconfirmed' then now()
                                  else i.unknown_since end, clean_looks = i.clean_looks, clean_look_at = i.clean_look_at,
             doubted_since = i.doubted_since,
             due_at = i.due_at, lease_token = i.lease_token, lease_expires_at = i.lease_expires_at,
             cancel_requested_at = i.cancel_requested_at, result_awaited_since = i.result_awaited_since,
             missing_since = i.missing_since, missing_looks = i.missing_looks, submitted_at = i.submitted_at,
             started_at = i.started_at, finished_at = i.finished_at, updated_at = i.updated_at
        from input i
       where j.tenant_id = any(array[i.tenant_id]) and j.id = any(array[i.id]) and j.sequence = i.made_from
         and (i.send_lease is null or j.lease_token = i.send_lease)
         -- Compared, not searched with "exists": that was planned as a read of all tenants.
         and (i.poll_lease is null or i.poll_lease = (
               select p.poll_lease_token from tenant_paces p
                where p.tenant_id = i.tenant_id and p.poll_lease_expires_at > now()))
         and (i.reconcile_lease is null or i.reconcile_lease = (
               select a.reconcile_lease_token from tensorpix_accounts a
                where a.id = j.account_id and a.reconcile_lease_expires_at > now()))
         ${tells ? Prisma.empty : UNHEARD}
      returning j.id, j.tenant_id, j.account_id, j.sequence, j.updated_at, i.at_tensorpix, i.cancels, i.events
    )`;
}

/** The events of their history. */
export const EVENTS = Prisma.sql`event as (
    insert into job_events (job_id, sequence, tenant_id, type, data, created_at)
    select c.id, e.sequence, c.tenant_id, e.type, e.data, c.updated_at
      from changed c, json_to_recordset(c.events) as e(sequence integer, type text, data jsonb)
  )`;

/** A tenant that was not looked at is, and one whose job is to be canceled is at once. */
export const PACED = Prisma.sql`paced as (
    update tenant_paces p set poll_due_at = ${DUE_NOW}
     where p.tenant_id = any(array(
       select f.tenant_id
         from (select tenant_id, bool_or(cancels) as cancels from changed where at_tensorpix group by tenant_id) c
         join tenant_paces f on f.tenant_id = any(array[c.tenant_id])
        where f.poll_due_at is null or (c.cancels and f.poll_due_at > now())
          -- Held by a look that ends: it sees these jobs, and TensorPix's answer must not wait for it.
          for update of f skip locked))
  )`;
