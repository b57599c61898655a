import { Injectable } from '@nestjs/common';
import type { Prisma } from '../../generated/prisma/client.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { retryWhileAway } from '../../common/prisma/retry-while-away.js';
import { DatabaseTime } from '../../common/time/database-time.js';
import { recordOf, type Intent } from './job-intent.js';
import { AWAIT_HELD, intentParts, SKIP_HELD } from './job-intents.sql.js';
import type { StatusReason } from './job-state.js';
import type { JobWithTime } from './job-rows.js';
import { JobsStore } from './jobs.store.js';

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
      with ${intentParts(ordered.map(toRow), lock, keyed)}
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
    if (row.allowed) return (await this.findOwn(intent)) ?? 'key_taken';
    return row.waits ? 'equal_unknown' : 'tenant_gone';
  }

  /**
   * The row that an earlier run of the same statement has committed while this one waited for it: what took the key then was this
   * very intent, and the snapshot of this run is older than that row. Whether it is sent, its claim tells.
   */
  private findOwn({ tenantId, id }: Intent): Promise<JobWithTime | null> {
    return this.jobs.findRecord(tenantId, id);
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
