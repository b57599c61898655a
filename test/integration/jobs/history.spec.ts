import { beforeAll, describe, expect, it } from '@jest/globals';
import { Lease } from '../../../src/common/loops/lease.js';
import { WakeUps } from '../../../src/common/loops/wake-ups.js';
import { Metrics } from '../../../src/common/metrics.js';
import type { PrismaService } from '../../../src/common/prisma/prisma.service.js';
import { changeJob } from '../../../src/modules/jobs/job-change.js';
import { JobChangesStore } from '../../../src/modules/jobs/job-changes.store.js';
import { JobClaimsStore } from '../../../src/modules/jobs/job-claims.store.js';
import { JobIntentsStore } from '../../../src/modules/jobs/job-intents.store.js';
import { JobsStore, type JobFilter, type JobRef } from '../../../src/modules/jobs/jobs.store.js';
import { ObservationsStore } from '../../../src/modules/jobs/polling/observations.store.js';
import { TenantPaceStore } from '../../../src/modules/jobs/polling/tenant-pace.store.js';
import { AccountsStore } from '../../../src/modules/jobs/reconciliation/accounts.store.js';
import { SightingsStore } from '../../../src/modules/jobs/reconciliation/sightings.store.js';
import { TenantRing } from '../../../src/modules/jobs/tenant-ring.js';
import { RetentionStore } from '../../../src/modules/jobs/retention.store.js';
import { hasJobsUnderWay, mayHaveJobs } from '../../../src/modules/tenants/token-columns.store.js';
import { ParkedJobsStore } from '../../../src/modules/tenants/parked-jobs.store.js';
import { DeliveriesStore } from '../../../src/modules/webhooks/deliveries.store.js';
import {
  buffersOf,
  keepPlans,
  scansOf,
  statementOf,
  withoutAutovacuum,
  type PlanNode,
  type Statement,
} from '../../support/plans.js';
import { useStage, type Team } from '../../support/stage.js';
import { intentOf } from './intents.js';
import { ACTIVE, CALLBACK, deliverHistory, HISTORY, insertActive, insertHistory, insertJobs } from './long-history.js';

/** Nothing runs but what the tests explain. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

const PAGE = 100;
/** Buffers that a statement about a page of jobs may touch: an absolute bound, however long the history is. */
const MOST_BUFFERS: Record<string, number> & { other: number } = {
  other: 1_500,
  // None is of that status: all that was not delivered is looked at, a few buffers for each.
  'what was not delivered of one status': 8 * ACTIVE,
  'a page of a status that the tenant has none of': 20,
  'a batch to remove': 3_000,
};
const LEASE = new Lease(60_000);

let team: Team;
let tenantId: string;
let accountId: string;
/** Of a tenant whose jobs have all ended. */
let idleId: string;

/** Each statement with its plans, by when they were made. */
const plans: Record<'when there was nothing' | 'before there were many' | 'now', Map<string, PlanNode>> = {
  'when there was nothing': new Map(),
  'before there were many': new Map(),
  now: new Map(),
};

beforeAll(async () => {
  team = await stage.team();
  tenantId = team.id;
  idleId = (await stage.team()).id;
  [{ accountId }] = (await stage.sql<{ accountId: string }>(
    `select account_id as "accountId" from tenants where id = $1`,
    [tenantId],
  )) as [{ accountId: string }];
  await withoutAutovacuum(stage.pool);
  await stage.sql(
    `update tenant_paces set poll_lease_token = $2, poll_lease_expires_at = now() + interval '1 hour' where tenant_id = $1`,
    [tenantId, LEASE.token],
  );
  await stage.sql(`update tenant_paces set poll_due_at = now() - interval '1 second' where tenant_id = $1`, [idleId]);
  await insertJobs(stage, tenantId, 'processing', HISTORY + 1, HISTORY + 1);
  const [{ id: stays }] = (await stage.sql(`select id from jobs`)) as [{ id: string }];
  const plannedFirst = await keepPlans(stage.pool, STATEMENTS);
  await insertHistory(stage, tenantId, idleId);
  await insertActive(stage, tenantId);
  plans['when there was nothing'] = await plannedFirst();
  await stage.sql('analyze');
  await stage.sql(`delete from jobs where finished_at is null and id <> $1`, [stays]);
  await stage.sql('truncate webhook_queues');
  await deliverHistory(stage);
  await stage.sql('vacuum (analyze)');
  const plannedBefore = await keepPlans(stage.pool, STATEMENTS);
  await insertActive(stage, tenantId);
  plans['before there were many'] = await plannedBefore();
  await stage.sql('analyze');
  plans.now = await (await keepPlans(stage.pool, STATEMENTS))();
}, 300_000);

const NOTHING: JobFilter = {
  kind: 'video',
  statuses: [],
  externalId: undefined,
  createdAfter: undefined,
  createdBefore: undefined,
  undelivered: false,
};

/** What TensorPix shows: progress of half of the jobs, no change of the others. */
function shown(count: number) {
  return Array.from({ length: count }, (_, i) => ({
    id: HISTORY + 1 + i,
    status: 'processing' as const,
    progress: i % 2 === 0 ? 0.5 : 0.52,
    etaSeconds: 60,
    costCredits: null,
    output: null,
  }));
}

/** Where a page in the middle of the history begins. */
const DEEP = { createdAt: new Date(Date.now() - 50_000 * 60_000), id: '01900000-0000-7000-8000-000000000000' };

/** The same of ids without a time, which those of the tests are. */
const HALF = { ...DEEP, id: '80000000-0000-7000-8000-000000000000' };

function page(prisma: PrismaService, id: string, filter: Partial<JobFilter>, after?: typeof DEEP): Promise<unknown> {
  return new JobsStore(prisma).findPage(id, { ...NOTHING, ...filter }, PAGE, after);
}

const TURN = { ...new TenantRing().stretch, limit: 64, most: 8, busy: [] };

function ids(count: number): number[] {
  return shown(count).map(({ id }) => id);
}

/** The statement that says when to look again, in the transaction that holds the claim. */
async function endLook(noting: PrismaService, id: string): Promise<void> {
  const tx = { ...noting, $queryRaw: () => Promise.resolve([{ id }]) };
  const prisma = { $transaction: (run: (within: typeof tx) => Promise<boolean>) => run(tx) };
  const end = { nextLookInMs: 5_000, failures: 0, gained: 0, learned: null, hurriedInMs: null };
  await new TenantPaceStore(prisma as unknown as PrismaService).release(id, LEASE, end);
}

/** The statement that writes what was seen of a job; with its webhook, when somebody listens. */
async function applyChange(prisma: PrismaService, callbackUrl: string | null): Promise<void> {
  const [row] = await stage.sql<{ id: string }>(`select id from jobs where status = 'processing' limit 1`);
  const found = await stage.gateway.app.get(JobsStore, { strict: false }).findRecord(tenantId, row?.id ?? '');
  if (!found) throw new Error('no job');
  const job = { ...found.job, callbackUrl, callbackEvents: ['job.finished' as const] };
  const change = changeJob(job, { status: 'finished' }, found.time.now());
  const { app } = stage.gateway;
  await new JobChangesStore(prisma, app.get(WakeUps), app.get(Metrics)).apply(change, { pollLease: LEASE.token });
}

/** The statement that records a job, and its answer that is not there. */
async function recordIntent(prisma: PrismaService): Promise<void> {
  const store = new JobIntentsStore(prisma, new JobsStore(prisma));
  await store.insert(await intentOf(stage, team)).catch(() => undefined);
}

async function someJobs(count: number): Promise<JobRef[]> {
  const rows = await stage.sql<{ id: string }>('select id from jobs limit $1', [count]);
  return rows.map(({ id }) => ({ tenantId, id }));
}

const STATEMENTS: Statement[] = [
  ['a claim of tenants', (prisma) => new TenantPaceStore(prisma).claimDueAnyTenant(LEASE, 100)],
  ['the end of a look', (prisma) => endLook(prisma, tenantId)],
  ['the end of the last look', (prisma) => endLook(prisma, idleId)],
  ['waking forgotten tenants', (prisma) => new TenantPaceStore(prisma).wakeForgottenAnyTenant()],
  ['what a look asks for', (prisma) => new ObservationsStore(prisma).findActive(tenantId)],
  ['a page of a look', (prisma) => new ObservationsStore(prisma).findChanged(tenantId, LEASE.token, shown(PAGE))],
  ['a submission', recordIntent],
  ['a claim of jobs to be sent', (prisma) => new JobClaimsStore(prisma).claimDueAnyTenant(LEASE, TURN)],
  ['expired sends', (prisma) => new JobClaimsStore(prisma).findExpiredSendsAnyTenant(100)],
  ['what lost claims hold', (prisma) => new JobClaimsStore(prisma).findHeldAnyTenant([LEASE.token])],
  ['a claim of accounts', (prisma) => new AccountsStore(prisma).claimDueAnyAccount(LEASE, 20)],
  ['waking forgotten accounts', (prisma) => new AccountsStore(prisma).wakeForgottenAnyAccount()],
  ['what is waited for', async (prisma) => new JobsStore(prisma).findStandings(await someJobs(300))],
  ['a page of the list', (prisma) => page(prisma, tenantId, {})],
  ['a page deep in the list', (prisma) => page(prisma, tenantId, {}, DEEP)],
  ['a page of one status', (prisma) => page(prisma, tenantId, { statuses: ['processing'] })],
  ['a page of a frequent status', (prisma) => page(prisma, tenantId, { statuses: ['finished'] })],
  [
    'a page of several statuses',
    (prisma) => page(prisma, tenantId, { statuses: ['failed', 'processing', 'finished'] }),
  ],
  ['a page of a status that the tenant has none of', (prisma) => page(prisma, idleId, { statuses: ['processing'] })],
  ['a page deep in a frequent status', (prisma) => page(prisma, tenantId, { statuses: ['finished'] }, DEEP)],
  ['a page of what was not delivered', (prisma) => page(prisma, tenantId, { undelivered: true })],
  ['the next page of what was not delivered', (prisma) => page(prisma, tenantId, { undelivered: true }, HALF)],
  [
    'what was not delivered of long ago',
    (prisma) => page(prisma, tenantId, { undelivered: true, createdBefore: new Date('2020-01-01') }),
  ],
  [
    'what was not delivered of one status',
    (prisma) => page(prisma, tenantId, { undelivered: true, statuses: ['finished'] }),
  ],
  ['the change of a job', (prisma) => applyChange(prisma, null)],
  ['the change of a job, and its webhook', (prisma) => applyChange(prisma, CALLBACK)],
  ['what an account has of unknown outcome', (prisma) => new AccountsStore(prisma).findUnknown(accountId)],
  ['what was given up of an account', (prisma) => new AccountsStore(prisma).findGivenUp(accountId, ['ab'.repeat(32)])],
  ['the newest job that an account has', (prisma) => new AccountsStore(prisma).findNewestActive(accountId)],
  ['which jobs of a page are owned', (prisma) => new AccountsStore(prisma).findOwned(accountId, ids(PAGE))],
  ['noting jobs of others', (prisma) => new SightingsStore(prisma).note(accountId, ids(PAGE))],
  ['whether a tenant has jobs under way', (prisma) => hasJobsUnderWay(prisma, tenantId)],
  ['whether a tenant without any has jobs under way', (prisma) => hasJobsUnderWay(prisma, idleId)],
  ['whether TensorPix has jobs of a tenant', (prisma) => mayHaveJobs(prisma, tenantId)],
  ['what waited for another token', (prisma) => new ParkedJobsStore(prisma).hurry(tenantId)],
  ['whose jobs still wait for another token', (prisma) => new ParkedJobsStore(prisma).hurryLeftAnyTenant()],
  ['a batch to remove', (prisma) => new RetentionStore(prisma).deleteEndedAnyTenant(60, null, 200)],
  ['nothing to remove', (prisma) => new RetentionStore(prisma).deleteEndedAnyTenant(36_000, null, 200)],
  ['old webhooks without a job', (prisma) => new DeliveriesStore(prisma).deleteOldWithoutJobAnyTenant(90, 500)],
];

describe('a hundred thousand jobs that have ended', () => {
  describe.each(['when there was nothing', 'before there were many', 'now'] as const)(
    'with a plan that was made %s',
    (when) => {
      it.each(STATEMENTS.map(([name]) => name))('should cost nothing (invariant 13): %s', (name) => {
        const plan = plans[when].get(name)!;
        expect(scansOf(plan)).toEqual([]);
        expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS[name] ?? MOST_BUFFERS.other);
      });
    },
  );

  // What a page reads of the dead is bounded by this: the plans above are of tables that have just been vacuumed.
  it.each(['jobs', 'webhook_deliveries', 'webhook_queues'])(
    'should be vacuumed long before a fifth of it is dead: %s',
    async (table) => {
      const [row] = await stage.sql<{ factor: number; threshold: number }>(
        `select max(option_value) filter (where option_name = 'autovacuum_vacuum_scale_factor')::float8 as factor,
                max(option_value) filter (where option_name = 'autovacuum_vacuum_threshold')::int as threshold
           from pg_class c, pg_options_to_table(c.reloptions) where c.oid = $1::regclass`,
        [table],
      );
      expect(row?.factor).toBe(0.01);
      expect(row?.threshold).toBeLessThanOrEqual(5_000);
    },
  );

  it('should have explained both statements of a change', async () => {
    const text = async (url: string | null) => (await statementOf((prisma) => applyChange(prisma, url))).text;
    expect(await text(CALLBACK)).toContain('insert into webhook_deliveries');
    expect(await text(null)).not.toContain('insert into webhook_deliveries');
  });

  it('should write the rows whose progress moved, and no others', async () => {
    const held = new Lease(60_000);
    await stage.sql(
      `update tenant_paces set poll_lease_token = $2, poll_lease_expires_at = now() + interval '1 minute' where tenant_id = $1`,
      [tenantId, held.token],
    );
    const store = stage.gateway.app.get(ObservationsStore, { strict: false });
    const written = async () =>
      (
        await stage.sql<{ n: number }>(`select count(*)::int as n from jobs where xmin::text::bigint >= $1`, [before])
      )[0]?.n;
    const [row] = await stage.sql<{ xid: string }>('select pg_current_xact_id()::text as xid');
    const before = row?.xid;
    expect(await store.findChanged(tenantId, LEASE.token, shown(PAGE))).toEqual([]);
    expect(await written()).toBe(0);
    expect(await store.findChanged(tenantId, held.token, shown(PAGE))).toEqual([]);
    // An ETA where there was none is news too.
    expect(await written()).toBe(PAGE);
    const [again] = await stage.sql<{ xid: string }>('select pg_current_xact_id()::text as xid');
    await store.findChanged(tenantId, held.token, shown(PAGE));
    const [after] = await stage.sql<{ n: number }>(
      `select count(*)::int as n from jobs where xmin::text::bigint > $1`,
      [again?.xid],
    );
    expect(after?.n).toBe(0);
  });
});
