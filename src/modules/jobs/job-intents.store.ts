import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { retryWhileAway } from '../../common/prisma/retry-while-away.js';
import { DatabaseTime } from '../../common/time/database-time.js';
import { recordOf, type Intent } from './job-intent.js';
import type { StatusReason } from './job-state.js';
import type { JobWithTime } from './job-rows.js';
import { JobsStore } from './jobs.store.js';
import { EQUAL_RECHECK_MS, unknownEqual } from './reconciliation/unknown-equal.sql.js';

/**
 * What became of an intent. `tenant_gone`: the tenant was deleted, suspended, or has just got a token of another account.
 * `equal_unknown`: it must not wait, and an equal job's outcome is unknown. `key_taken`: its key stands for another row.
 */
export type Inserted = JobWithTime | 'tenant_gone' | 'equal_unknown' | 'key_taken';

interface InsertedRow {
  id: string;
  now: Date;
  createdAt: Date | null;
  allowed: boolean;
  waits: boolean;
  /** committed by an earlier run of the same statement, whose answer was lost */
  repeated: boolean;
  /** the claim of this very intent stands in the row */
  claimed: boolean;
  holdUntil: Date | null;
  holdReason: StatusReason | null;
}

const BATCHES = { maxItems: 200, concurrency: 1 };
const INSERT_PATIENCE_MS = 3_000;

/** What becomes of an intent whose tenant's row is locked: it comes to nothing, as if the tenant were gone, or waits. */
const SKIP_HELD = Prisma.sql`for key share skip locked`;
const AWAIT_HELD = Prisma.sql`for key share`;

/** Keys are taken before the rows that they stand for; of two equal ones only one gets its row. */
const TAKEN_KEYS = Prisma.sql`taken_key as (
  insert into idempotency_keys (tenant_id, kind, key, fingerprint, job_id, locked_until)
  select i.tenant_id, i.kind, i.key, decode(i.fingerprint, 'hex'), i.id,
         case when i.sent then now() + i.lease_ms * interval '1 millisecond' end
    from input i
   where i.allowed and i.key is not null
      on conflict (tenant_id, kind, key) do nothing
  returning job_id
),`;

/** Writes intents: the row of a job, its first event and its idempotency key, before TensorPix hears of it. */
@Injectable()
export class JobIntentsStore {
  private readonly intents = new MicroBatcher((items: Intent[]) => this.insertMany(items, SKIP_HELD), BATCHES);
  /** Of tenants that are being changed: only these wait for each other. */
  private readonly ofHeldTenants = new MicroBatcher((items: Intent[]) => this.insertMany(items, AWAIT_HELD), BATCHES);

  constructor(
    private readonly prisma: PrismaService,
    private readonly jobs: JobsStore,
  ) {}

  /** Commits the intent, its first event and its idempotency key; or nothing, and says why. */
  async insert(intent: Intent): Promise<Inserted> {
    const inserted = await retryWhileAway(INSERT_PATIENCE_MS, () => this.intents.add(intent));
    if (inserted !== 'tenant_gone') return inserted;
    return retryWhileAway(INSERT_PATIENCE_MS, () => this.ofHeldTenants.add(intent));
  }

  private async insertMany(intents: Intent[], lock: Prisma.Sql): Promise<Inserted[]> {
    const keyed = intents.some(({ key }) => key !== null);
    // In one order everywhere, so that two replicas that take the same keys do not wait for each other in a circle.
    const ordered = keyed ? [...intents].sort(byKey) : intents;
    const rows = await this.prisma.$rows<InsertedRow>`
      with given as materialized (
        select i.*, decode(i.observable_key, 'hex') as observable,
               exists (${unknownEqual(Prisma.sql`i.account_id`, Prisma.sql`decode(i.observable_key, 'hex')`)}) as waits,
               case when not i.strict and p.rest_until > now() then p.rest_until end as rest_until,
               case when i.parks and p.hold_until > now() then p.hold_until end as account_until, p.hold_reason as account_reason
          from json_to_recordset(${JSON.stringify(ordered.map(toRow))}::json) as i(
            id uuid, tenant_id uuid, account_id uuid, api_key_id uuid, kind text, preview boolean, input jsonb,
            warnings jsonb, external_id text, metadata jsonb, callback_url text, callback_events text[], parks boolean,
            observable_key text, source_expires_at timestamptz, strict boolean, lease_token uuid, lease_ms float8,
            key text, fingerprint text)
          left join tenant_paces p on p.tenant_id = i.tenant_id
      ), held as (
        select g.*, case when g.waits then now() + ${EQUAL_RECHECK_MS}::float8 * interval '1 millisecond'
                         else coalesce(g.rest_until, g.account_until) end as hold_until,
               case when g.waits then 'outcome_unknown' when g.rest_until is not null then 'rate_limited'
                    when g.account_until is not null then g.account_reason end as hold_reason
          from given g
      ), input as (
        select h.*, t.stands and not (h.strict and h.waits) as allowed, h.lease_token is not null and h.hold_until is null as sent
          from held h
          left join lateral (
               select true as stands from tenants t
                where t.id = h.tenant_id and t.account_id = h.account_id and t.status = 'active' and t.deleted_at is null
                  ${lock}) t on true
      ), ${keyed ? TAKEN_KEYS : Prisma.empty} j as (
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
         where i.allowed and ${keyed ? Prisma.sql`(i.key is null or i.id in (select job_id from taken_key))` : Prisma.sql`true`}
            on conflict (id) do nothing
        returning id, tenant_id, kind, attempt, lease_token, created_at
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select j.id, 1, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.submitting',
               jsonb_build_object('attempt', j.attempt)
          from j
      )
      -- A repeated statement finds the rows that its first run has committed. Looked up for those only that were not
      -- inserted, one by one: a plain join was planned as a scan of the whole index while the table was small.
      select i.id, now() as now, coalesce(j.created_at, old.created_at) as "createdAt", coalesce(i.allowed, false) as allowed,
             i.strict and i.waits as "waits", old.id is not null as repeated,
             coalesce(j.lease_token, old.lease_token) is not distinct from i.lease_token as claimed,
             i.hold_until as "holdUntil", i.hold_reason as "holdReason"
        from input i
        left join j on j.id = i.id
        left join lateral (
          select o.id, o.created_at, o.lease_token from jobs o where o.id = i.id and j.id is null limit 1) old on true`;
    const byId = new Map(rows.map((row) => [row.id, row]));
    return Promise.all(intents.map((intent) => this.insertedOf(intent, byId.get(intent.id))));
  }

  private async insertedOf(intent: Intent, row: InsertedRow | undefined): Promise<Inserted> {
    if (!row) throw new Error('an intent came to nothing');
    const { now, createdAt, holdUntil: until, holdReason: reason } = row;
    if (createdAt && row.repeated && !row.claimed) {
      // Whatever has become of the row since its first run: only the row itself tells, and nobody else may send it.
      const found = await this.jobs.findRecord(intent.tenantId, intent.id);
      if (found) return found;
    }
    if (createdAt) {
      const hold = until && reason && !row.repeated ? { until, reason } : null;
      return { job: recordOf(intent, createdAt, hold), time: new DatabaseTime(now) };
    }
    if (row.allowed) return 'key_taken';
    return row.waits ? 'equal_unknown' : 'tenant_gone';
  }
}

function byKey(a: Intent, b: Intent): number {
  return (a.key?.key ?? '') < (b.key?.key ?? '') ? -1 : 1;
}

function toRow(intent: Intent): Record<string, unknown> {
  return {
    id: intent.id,
    tenant_id: intent.tenantId,
    account_id: intent.accountId,
    api_key_id: intent.apiKeyId,
    kind: intent.kind,
    preview: intent.preview,
    input: intent.input,
    warnings: intent.warnings,
    external_id: intent.externalId,
    metadata: intent.metadata,
    callback_url: intent.callbackUrl,
    callback_events: intent.callbackEvents,
    parks: intent.parks,
    source_expires_at: intent.sourceExpiresAt,
    strict: intent.strict,
    lease_token: intent.lease?.token ?? null,
    lease_ms: intent.lease?.durationMs ?? null,
    observable_key: intent.observableKey,
    key: intent.key?.key ?? null,
    fingerprint: intent.key?.fingerprint ?? null,
  };
}
