import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Lease } from '../../../src/common/loops/lease.js';
import { JobClaimsStore } from '../../../src/modules/jobs/job-claims.store.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { TenantPaceStore } from '../../../src/modules/jobs/polling/tenant-pace.store.js';
import { TenantRing } from '../../../src/modules/jobs/tenant-ring.js';
import { buffersOf, explain, prepare, scansOf, statementOf, type Prepared } from '../../support/plans.js';
import { idOf, useStage } from '../../support/stage.js';

/** No loop runs: these tests claim and tick. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

/** As the submitter's own bounds are. */
const ROOM = 64;
const MOST = 8;
/** More than one claim walks over, twice. */
const MANY = 450;
/** Buffers that a claim of eight jobs may touch beside twelve thousand that wait. */
const MOST_BUFFERS = 2_500;

let tenants = 0;

/** Tenants with accounts of their own, in the order of the ring. */
async function crowd(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => {
    tenants += 1;
    return `00000000-0000-7000-8000-${tenants.toString(16).padStart(12, '0')}`;
  });
  await stage.sql('insert into tensorpix_accounts (id) select unnest($1::uuid[])', [ids]);
  await stage.sql(
    `insert into tenants (id, name, account_id, token_ciphertext, token_last4)
     select id, 'crowd', id, 'none', 'none' from unnest($1::uuid[]) as id`,
    [ids],
  );
  await stage.sql('insert into tenant_paces (tenant_id) select unnest($1::uuid[])', [ids]);
  return ids;
}

/** So many jobs of each that wait to be sent; with a key they are equal. */
async function park(ids: string[], each: number, dueIn: string, key: string | null = null): Promise<void> {
  await stage.sql(
    `insert into jobs (id, tenant_id, account_id, kind, status, status_reason, input, callback_events, observable_key, due_at)
     select gen_random_uuid(), t.id, t.account_id, 'video', 'submitting', 'upstream_unavailable', '{}', '{}',
            coalesce(sha256(convert_to($4, 'utf8')), sha256(uuid_send(gen_random_uuid()))), now() + $3::interval
       from tenants t, generate_series(1, $2::int) where t.id = any($1::uuid[])`,
    [ids, each, dueIn, key],
  );
}

/** A job of unknown outcome, to which those with this key are equal. */
async function unknown(id: string, key: string): Promise<void> {
  await stage.sql(
    `insert into jobs (id, tenant_id, account_id, kind, status, input, callback_events, observable_key, unknown_since)
     select gen_random_uuid(), t.id, t.account_id, 'video', 'unconfirmed', '{}', '{}', sha256(convert_to($2, 'utf8')), now()
       from tenants t where t.id = $1`,
    [id, key],
  );
}

/** A process that claims. */
class Claimant {
  private readonly ring = new TenantRing();

  async claim(limit: number, busy: string[] = []): Promise<{ of: string[]; putOff: number; more: boolean }> {
    const store = stage.gateway.app.get(JobClaimsStore, { strict: false });
    const turn = { ...this.ring.stretch, limit, most: MOST, busy };
    const { jobs, putOff, walk } = await store.claimDueAnyTenant(new Lease(60_000), turn);
    const more = this.ring.goOn(walk, jobs.length + putOff > 0);
    return { of: jobs.map(({ job }) => job.tenantId), putOff, more };
  }

  /** Claims until there is nothing more at once. */
  async claimAll(limit: number): Promise<{ of: string[][]; claims: number }> {
    const of: string[][] = [];
    for (let claims = 1; claims <= 50; claims += 1) {
      const claimed = await this.claim(limit);
      if (claimed.of.length > 0) of.push(claimed.of);
      if (!claimed.more) return { of, claims };
    }
    throw new Error('it spins');
  }
}

function times(ids: string[]): number[] {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => a - b);
}

afterEach(async () => {
  await stage.sql('delete from jobs');
  // Dead rows cost what the living did until they are cleared away.
  await stage.sql('vacuum jobs');
  await stage.sql(`delete from tenants where name = 'crowd'`);
});

describe('tenants with jobs that wait to be sent', () => {
  it('should each get one sent before a second of any, however old and many the jobs of some are', async () => {
    const [large, small] = [await crowd(8), await crowd(8)];
    await park(large, 20, '-1 hour');
    await park(small, 1, '-1 second');
    const claimant = new Claimant();
    const first: string[] = [];
    for (let i = 0; i < 4; i += 1) first.push(...(await claimant.claim(4)).of);
    expect([...first].sort()).toEqual([...large, ...small]);
    // With room for all at once as well, and what is left of it goes round.
    const { of } = await claimant.claim(ROOM);
    expect(times(of)).toEqual([8, 8, 8, 8, 8, 8, 8, 8]);
  });

  it('should get theirs while another session holds the row of one of them, and that one when it does no more', async () => {
    const [held, ...others] = (await crowd(3)) as [string, ...string[]];
    await park([held, ...others], 2, '-1 minute');
    const claimant = new Claimant();
    const session = await stage.pool.connect();
    try {
      await session.query('begin');
      await session.query('select 1 from tenants where id = $1 for update', [held]);
      expect(new Set((await claimant.claim(ROOM)).of)).toEqual(new Set(others));
    } finally {
      await session.query('rollback');
      session.release();
    }
    expect((await claimant.claim(ROOM)).of).toEqual([held, held]);
  });

  it('should share a room that is too small for another turn of all in turns', async () => {
    const ids = await crowd(6);
    await park(ids, 20, '-1 minute');
    const claimant = new Claimant();
    const [first, second, third] = [await claimant.claim(10), await claimant.claim(10), await claimant.claim(10)];
    expect(times(first.of)).toEqual([1, 1, 2, 2, 2, 2]);
    expect(times([...first.of, ...second.of, ...third.of])).toEqual([5, 5, 5, 5, 5, 5]);
  });

  it('should all get their turn when they are more than one claim walks over', async () => {
    const ids = await crowd(MANY);
    await park(ids, 2, '-1 minute');
    const claimant = new Claimant();
    const turns: string[] = [];
    while (turns.length < MANY) turns.push(...(await claimant.claim(Math.min(ROOM, MANY - turns.length))).of);
    expect(new Set(turns).size).toBe(MANY);
    const { of } = await claimant.claimAll(ROOM);
    expect(new Set(of.flat()).size).toBe(MANY);
    expect(of.flat()).toHaveLength(MANY);
  });

  it('should not be missed behind many of whom nothing is due, and those not be looked at for ever', async () => {
    const ids = await crowd(MANY);
    await park(ids, 1, '1 hour');
    const team = await stage.team();
    const id = idOf(await stage.video(team, {}, { prefer: 'respond-async' }));
    const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
    let ticks = 1;
    while (ticks < 20 && (await submitter.tick())) ticks += 1;
    await submitter.drain();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 1 });
    // Until it is found, and once round after it.
    expect(ticks).toBeLessThanOrEqual(8);
    let idle = 1;
    while (idle < 20 && (await submitter.tick())) idle += 1;
    expect(idle).toBe(3);
  });

  it.each([0, 1, 199, 200, 201, 400])(
    'should not make a claim look for more when all %p of them were walked over for nothing',
    async (count) => {
      await park(await crowd(count), 1, '1 hour');
      const claimant = new Claimant();
      for (let rounds = 0; rounds < 3; rounds += 1)
        expect((await claimant.claimAll(ROOM)).claims).toBeLessThanOrEqual(Math.floor(count / 200) + 1);
    },
  );

  it('should not stand in the way of others while they are busy, rest, are held or suspended', async () => {
    const [busy, resting, held, suspended, tokenless, ...others] = (await crowd(9)) as [
      string,
      string,
      string,
      string,
      string,
      ...string[],
    ];
    await park([busy, resting, held, suspended, tokenless], 20, '-1 hour');
    await park(others, 3, '-1 second');
    await stage.sql(`update tenant_paces set rest_until = now() + interval '1 hour' where tenant_id = $1`, [resting]);
    await stage.sql(`update tenant_paces set hold_until = now() + interval '1 hour' where tenant_id = $1`, [held]);
    await stage.sql(`update tenants set status = 'suspended' where id = $1`, [suspended]);
    await stage.sql('update tenants set token_ciphertext = null where id = $1', [tokenless]);
    const claimant = new Claimant();
    expect((await claimant.claim(1, [busy])).of).toEqual([others[0]]);
    expect((await claimant.claim(2, [busy])).of.sort()).toEqual([others[1], others[2]]);
    expect(times((await claimant.claim(ROOM, [busy])).of)).toEqual([2, 2, 2, 3]);
    expect(await claimant.claim(ROOM, [busy])).toMatchObject({ of: [], more: false });
    expect((await claimant.claim(ROOM)).of).toEqual(Array.from({ length: MOST }, () => busy));
  });
});

describe('a claim of jobs to be sent', () => {
  const turn = { ...new TenantRing().stretch, limit: MOST, most: MOST, busy: [] };
  const claim = () => statementOf((prisma) => new JobClaimsStore(prisma).claimDueAnyTenant(new Lease(60_000), turn));
  /** Its plan was made when nothing waited. */
  let quiet: Prepared;

  beforeEach(async () => {
    const [id] = await crowd(1);
    await stage.sql(
      `insert into jobs (id, tenant_id, account_id, kind, status, input, callback_events, finished_at)
       select gen_random_uuid(), $1, $1, 'video', 'finished', '{}', '{}', now() from generate_series(1, 2_000)`,
      [id],
    );
    await stage.sql('analyze');
    quiet = await prepare(stage.pool, await claim());
    await quiet.explain();
  });
  afterEach(() => quiet.close());

  async function expectLittleRead(): Promise<void> {
    const kept = await quiet.explain();
    const fromQuietStatistics = await explain(stage.pool, await claim());
    await stage.sql('analyze');
    for (const plan of [kept, fromQuietStatistics, await explain(stage.pool, await claim())]) {
      expect(scansOf(plan)).toEqual([]);
      expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
    }
  }

  it('should read little when few of many are due (invariant 13)', async () => {
    const ids = await crowd(400);
    await park(ids, 30, '1 hour');
    await park(ids.slice(100, 104), 100, '-1 second');
    await expectLittleRead();
  });

  it('should read as little when all are due, and when all of these rest', async () => {
    await park(await crowd(400), 30, '-1 second');
    await expectLittleRead();
    await stage.sql(`update tenant_paces set rest_until = now() + interval '1 hour'`);
    await expectLittleRead();
  });

  it('should be all that looks after a rest wait for, and not be read for it', async () => {
    const looks = () => statementOf((prisma) => new TenantPaceStore(prisma).claimDueAnyTenant(new Lease(60_000), MOST));
    const ids = await crowd(400);
    await stage.sql(
      `update tenant_paces set poll_due_at = now() - interval '1 minute', rest_until = now() - interval '2 seconds'`,
    );
    const kept = await prepare(stage.pool, await looks());
    try {
      await kept.explain();
      await park(ids.slice(20), 30, '-1 second');
      for (const plan of [await kept.explain(), await explain(stage.pool, await looks())])
        expect(buffersOf(plan)).toBeLessThan(MOST_BUFFERS);
    } finally {
      await kept.close();
    }
  });

  it('should put off equals that are due without reading those that were put off', async () => {
    const [id, ...others] = (await crowd(20)) as [string, ...string[]];
    await unknown(id, 'same');
    await park([id], 12_000, '1 hour', 'same');
    await park([id], 5, '-1 second', 'same');
    await park(others, 300, '1 hour');
    await expectLittleRead();
    expect(await new Claimant().claim(ROOM)).toMatchObject({ of: [], putOff: 5 });
  });

  it('should put off so many equals and no more, whoever of the account they belong to', async () => {
    const [id, sharing] = (await crowd(2)) as [string, string];
    await stage.sql('update tenants set account_id = $1 where id = $2', [id, sharing]);
    await unknown(id, 'same');
    await park([id, sharing], 600, '-1 second', 'same');
    const claimant = new Claimant();
    const { of, putOff } = await claimant.claim(ROOM);
    expect(of).toEqual([]);
    expect(putOff).toBeGreaterThanOrEqual(1_000);
    expect(putOff).toBeLessThanOrEqual(1_000 + 2 * MOST);
    expect(await claimant.claim(ROOM)).toMatchObject({ of: [], putOff: 1_200 - putOff, more: true });
    const [events] = await stage.sql<{ n: number }>(
      `select count(*)::int as n from job_events where type = 'job.parked' and data->>'reason' = 'outcome_unknown'`,
    );
    expect(events).toEqual({ n: 1_200 });
  });
});
