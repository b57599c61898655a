import { Prisma } from '../../generated/prisma/client.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { EQUAL_RECHECK_MS, unknownEqual } from './reconciliation/unknown-equal.sql.js';

/* Parts of the statement that writes intents, each of which refers to those before it. */

/** What becomes of an intent whose tenant's row is locked: it comes to nothing, as if the tenant were gone, or waits. */
export const SKIP_HELD = Prisma.sql`for key share skip locked`;
export const AWAIT_HELD = Prisma.sql`for key share`;

/** The intents, with what each would have to wait for: an equal job of unknown outcome, the token's rest, the account's hold. */
function given(rows: Record<string, unknown>[]): Prisma.Sql {
  return Prisma.sql`given as materialized (
      select i.*, decode(i.observable_key, 'hex') as observable,
             exists (${unknownEqual(Prisma.sql`i.account_id`, Prisma.sql`decode(i.observable_key, 'hex')`)}) as waits,
             case when not i.strict and p.rest_until > now() then p.rest_until end as rest_until,
             case when i.parks and p.hold_until > now() then p.hold_until end as account_until, p.hold_reason as account_reason
        from json_to_recordset(${JSON.stringify(rows)}::json) as i(
          id uuid, tenant_id uuid, account_id uuid, api_key_id uuid, kind text, preview boolean, input jsonb,
          warnings jsonb, external_id text, metadata jsonb, callback_url text, callback_events text[], parks boolean,
          observable_key text, source_expires_at timestamptz, strict boolean, lease_token uuid, lease_ms float8,
          key text, fingerprint text)
        left join tenant_paces p on p.tenant_id = i.tenant_id
    )`;
}

/** Until when it waits, and why. */
const HELD = Prisma.sql`held as (
    select g.*, case when g.waits then now() + ${EQUAL_RECHECK_MS}::float8 * interval '1 millisecond'
                     else coalesce(g.rest_until, g.account_until) end as hold_until,
           case when g.waits then 'outcome_unknown' when g.rest_until is not null then 'rate_limited'
                when g.account_until is not null then g.account_reason end as hold_reason
      from given g
  )`;

/** Whether there may be a row at all, and whether it is sent at once. */
function input(lock: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`input as (
      select h.*, t.stands and not (h.strict and h.waits) as allowed, h.lease_token is not null and h.hold_until is null as sent
        from held h
        left join lateral (
             select true as stands from tenants t
              where t.id = h.tenant_id and t.account_id = h.account_id and t.status = 'active' and t.deleted_at is null
                ${lock}) t on true
    )`;
}

/** Keys are taken before the rows that they stand for; of two equal ones only one gets its row. */
const TAKEN_KEYS = Prisma.sql`taken_key as (
    insert into idempotency_keys (tenant_id, kind, key, fingerprint, job_id, locked_until)
    select i.tenant_id, i.kind, i.key, decode(i.fingerprint, 'hex'), i.id,
           case when i.sent then now() + i.lease_ms * interval '1 millisecond' end
      from input i
     where i.allowed and i.key is not null
        on conflict (tenant_id, kind, key) do nothing
    returning job_id
  )`;

/** The rows, `j`: claimed for the call that follows, or waiting. */
function inserted(keyed: boolean): Prisma.Sql {
  const key = keyed ? Prisma.sql`(i.key is null or i.id in (select job_id from taken_key))` : Prisma.sql`true`;
  return Prisma.sql`j as (
      insert into jobs (
        id, tenant_id, account_id, api_key_id, kind, status, status_reason, preview, input, warnings, external_id,
        metadata, callback_url, callback_events, parks, strict, observable_key, source_expires_at, attempt, called_at,
        lease_token, lease_expires_at, due_at)
      select i.id, i.tenant_id, i.account_id, i.api_key_id, i.kind, 'submitting',
             case when i.sent then 'sending' else i.hold_reason end, i.preview, i.input, i.warnings, i.external_id,
             i.metadata, i.callback_url, i.callback_events, i.parks, i.strict, i.observable, i.source_expires_at,
             case when i.sent then 1 else 0 end, case when i.sent then now() end,
             case when i.sent then i.lease_token end,
             case when i.sent then now() + i.lease_ms * interval '1 millisecond' end,
             case when not i.sent then coalesce(i.hold_until, ${DUE_NOW}) end
        from input i
       where i.allowed and ${key}
          on conflict (id) do nothing
      returning id, tenant_id, kind, attempt, lease_token, created_at
    )`;
}

/** The first event of each. */
const FIRST_EVENTS = Prisma.sql`event as (
    insert into job_events (job_id, sequence, tenant_id, type, data)
    select j.id, 1, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.submitting',
           jsonb_build_object('attempt', j.attempt)
      from j
  )`;

/**
 * All of them, in their order. They leave `input`, all intents, and `j`, the rows that were written.
 *
 * @param keyed one of them at least has an idempotency key
 */
export function intentParts(rows: Record<string, unknown>[], lock: Prisma.Sql, keyed: boolean): Prisma.Sql {
  const keys = keyed ? [TAKEN_KEYS] : [];
  return Prisma.join([given(rows), HELD, input(lock), ...keys, inserted(keyed), FIRST_EVENTS], ', ');
}
