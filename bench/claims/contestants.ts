import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { PrismaService } from '../../src/common/prisma/prisma.service.js';
import { migrate } from '../../prisma/migrate.js';
import { loadBuilt } from '../support/built.js';
import type { BenchPostgres } from '../support/postgres.js';

/** A way to claim jobs that are due, in a database of its own. */
export interface Contestant {
  databaseUrl: string;
  /** @returns how many were claimed */
  claim: (limit: number) => Promise<number>;
  close: () => Promise<void>;
}

const LEASE_MS = 70_000;
/** More than a claim takes of one tenant, so that one tenant's jobs are not fewer than those of all. */
const MOST_A_TENANT = 64;

/** The gateway's claim, and one of the oldest jobs whoever has them, through the same client and sessions. */
export async function openContestants(
  postgres: BenchPostgres,
  name: string,
): Promise<{ turns: Contestant; oldest: Contestant }> {
  return { turns: await openTurns(postgres, `${name}_turns`), oldest: await openOldest(postgres, `${name}_oldest`) };
}

async function openTurns(postgres: BenchPostgres, name: string): Promise<Contestant> {
  const { JobClaimsStore } = await loadBuilt<typeof import('../../src/modules/jobs/job-claims.store.js')>(
    'modules/jobs/job-claims.store.js',
  );
  const { TenantRing } =
    await loadBuilt<typeof import('../../src/modules/jobs/tenant-ring.js')>('modules/jobs/tenant-ring.js');
  const { Lease } = await loadBuilt<typeof import('../../src/common/loops/lease.js')>('common/loops/lease.js');
  const { databaseUrl, prisma } = await openDatabase(postgres, name);
  const store = new JobClaimsStore(prisma);
  const ring = new TenantRing();
  const claim = async (limit: number): Promise<number> => {
    const turn = { ...ring.stretch, limit, most: MOST_A_TENANT, busy: [] };
    const { jobs, walk } = await store.claimDueAnyTenant(new Lease(LEASE_MS), turn);
    ring.goOn(walk, jobs.length > 0);
    return jobs.length;
  };
  return { databaseUrl, claim, close: () => prisma.onModuleDestroy() };
}

/**
 * Has the index that it needs in place of the one by tenants. A row that it may not send (its tenant is suspended or rests, an equal one
 * is of unknown outcome) is passed over: without these checks it could not be used.
 */
async function openOldest(postgres: BenchPostgres, name: string): Promise<Contestant> {
  const { JOB_COLUMNS, withTime } =
    await loadBuilt<typeof import('../../src/modules/jobs/job-rows.js')>('modules/jobs/job-rows.js');
  const { Lease } = await loadBuilt<typeof import('../../src/common/loops/lease.js')>('common/loops/lease.js');
  const { unknownEqual } = await loadBuilt<typeof import('../../src/modules/jobs/reconciliation/unknown-equal.sql.js')>(
    'modules/jobs/reconciliation/unknown-equal.sql.js',
  );
  const { Prisma } =
    await loadBuilt<typeof import('../../src/generated/prisma/client.js')>('generated/prisma/client.js');
  const { databaseUrl, prisma } = await openDatabase(postgres, name, [
    'drop index jobs_due_idx',
    `create index jobs_due_idx on jobs (due_at) where status = 'submitting' and due_at is not null`,
  ]);
  const claim = async (limit: number): Promise<number> => {
    const lease = new Lease(LEASE_MS);
    const rows = await prisma.$rows<Parameters<typeof withTime>[0]>`
      with due as (
        select x.id, t.token_ciphertext
          from jobs x
          join tenants t on t.id = x.tenant_id
          left join tenant_paces p on p.tenant_id = x.tenant_id
         where x.status = 'submitting' and x.due_at <= now() and t.status = 'active' and t.token_ciphertext is not null
           and coalesce(greatest(p.rest_until, p.hold_until) <= now(), true)
           and not exists (${unknownEqual(Prisma.sql`t.account_id`, Prisma.sql`x.observable_key`)})
         order by x.due_at
         limit ${limit}::int
           for update of x skip locked for key share of t
      ), j as (
        update jobs
           set lease_token = ${lease.token}::uuid, due_at = null, called_at = now(),
               lease_expires_at = now() + ${lease.durationMs}::float8 * interval '1 millisecond',
               status_reason = 'sending', attempt = attempt + 1, sequence = sequence + 1, updated_at = now()
          from due where jobs.id = due.id
        returning jobs.*, due.token_ciphertext
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data)
        select j.id, j.sequence, j.tenant_id, case j.kind when 'video' then 'job' else 'image' end || '.sending',
               jsonb_build_object('attempt', j.attempt)
          from j
      )
      select ${JOB_COLUMNS}, now() as now, j.token_ciphertext as "tokenCiphertext" from j`;
    return rows.map(withTime).length;
  };
  return { databaseUrl, claim, close: () => prisma.onModuleDestroy() };
}

async function openDatabase(
  postgres: BenchPostgres,
  name: string,
  changes: string[] = [],
): Promise<{ databaseUrl: string; prisma: PrismaService }> {
  const { PrismaService: Service } = await loadBuilt<typeof import('../../src/common/prisma/prisma.service.js')>(
    'common/prisma/prisma.service.js',
  );
  const { parseConfig } =
    await loadBuilt<typeof import('../../src/common/config/config.js')>('common/config/config.js');
  const databaseUrl = await postgres.createDatabase(name);
  await migrate(databaseUrl);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  for (const change of changes) await client.query(change);
  await client.end();
  const prisma = new Service(
    parseConfig({
      DATABASE_URL: databaseUrl,
      ADMIN_API_KEY: randomBytes(32).toString('hex'),
      ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    }),
  );
  return { databaseUrl, prisma };
}
