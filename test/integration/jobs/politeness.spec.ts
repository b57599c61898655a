import { describe, expect, it } from '@jest/globals';
import { Lease } from '../../../src/common/loops/lease.js';
import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { TenantPaceStore } from '../../../src/modules/jobs/polling/tenant-pace.store.js';
import type { UsedToken } from '../../../src/modules/tenants/tenant-tokens.js';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';
import request from 'supertest';

/** No loop runs: a look happens when a test ticks. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', POLL_MIN_INTERVAL_MS: '5000', POLL_MAX_INTERVAL_MS: '60000' },
  simulator: { queueMs: 0, durationMs: 3_600_000 },
});

interface Pace {
  calls_per_second: number;
  resting: boolean;
  due_in_s: number | null;
  hurried: boolean;
}

async function paceOf({ id }: Team): Promise<Pace | undefined> {
  const [pace] = await stage.sql<Pace>(
    `select calls_per_second, coalesce(rest_until > now(), false) as resting, extract(epoch from poll_due_at - now())::float8 as due_in_s,
            coalesce(hurried_until > now(), false) as hurried
       from tenant_paces where tenant_id = $1`,
    [id],
  );
  return pace;
}

async function tokenOf({ id }: Team): Promise<UsedToken> {
  const [token] = await stage.sql<UsedToken>('select token_ciphertext as ciphertext from tenants where id = $1', [id]);
  if (!token) throw new Error(`no tenant ${id}`);
  return token;
}

async function look(): Promise<void> {
  await stage.makeLooksDue();
  const poller = stage.gateway.app.get(JobsPoller, { strict: false });
  await poller.tick();
  await poller.drain();
}

describe('the rate of calls with a token', () => {
  it('should grow a little with what is served, and halve for all who have the token at a 429', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const sharing = await request(stage.gateway.url)
      .post('/v1/tenants?verify=false')
      .set({ authorization: `Bearer ${ADMIN_KEY}` })
      .send({ name: 'sharing', tensorpix_token: team.token });
    const shared = { ...team, id: String(sharing.body.id) };
    for (let i = 0; i < 3; i += 1) await stage.video(team);
    await stage.video(other);
    await look();
    expect((await paceOf(team))?.calls_per_second).toBeCloseTo(10.1, 5);
    const match = { method: 'GET', path: '/api/jobs/', token: team.token };
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 60 }, { times: 1, match });
    await look();
    expect(await paceOf(team)).toMatchObject({ calls_per_second: expect.closeTo(5.05, 5), resting: true });
    expect(await paceOf(shared)).toMatchObject({ calls_per_second: expect.closeTo(5, 5), resting: true });
    expect(await paceOf(other)).toMatchObject({ resting: false });
    // What is throttled along is the same message.
    const pace = stage.gateway.app.get(TenantPaceStore, { strict: false });
    await pace.rest(team.id, 1_000, { token: await tokenOf(team) });
    expect((await paceOf(team))?.calls_per_second).toBeCloseTo(5.05, 5);
  });

  it.each([60, 0, null])(
    'should be known to all although the create that was throttled does not park: %p',
    async (asked) => {
      const team = await stage.team();
      stage.fault(team, { kind: 'rate_limited', retry_after_s: asked }, { times: 1 });
      const refused = await stage.video(team, {}, { prefer: 'handling=strict' });
      expect(refused.status).toBe(429);
      // A second at least, which may be over by now.
      const [pace] = await stage.sql<{ rested: boolean }>(
        `select rest_until >= updated.at + interval '1 second' as rested
         from tenant_paces, (select max(created_at) as at from jobs where tenant_id = $1) as updated where tenant_id = $1`,
        [team.id],
      );
      expect(pace).toEqual({ rested: true });
      expect(await paceOf(team)).toMatchObject({ calls_per_second: 5 });
    },
  );

  it('should end a look that goes on while the token is put to rest, and keep what the rest says', async () => {
    const team = await stage.team();
    for (let i = 0; i < 3; i += 1) await stage.video(team);
    const pace = stage.gateway.app.get(TenantPaceStore, { strict: false });
    const lease = new Lease(60_000);
    await stage.makeLooksDue();
    await pace.claimDueAnyTenant(lease, 100);
    expect(await pace.renew(team.id, lease)).toBe(true);
    await pace.rest(team.id, 60_000, { token: await tokenOf(team) });
    expect(await pace.renew(team.id, lease)).toBe(false);
    const end = { nextLookInMs: 1_000, failures: 0, gained: 20, learned: null, hurriedInMs: null };
    expect(await pace.release(team.id, lease, end)).toBe(true);
    expect(await paceOf(team)).toMatchObject({ resting: true, calls_per_second: 5 });
  });

  it('should not be changed by a process whose claim is gone', async () => {
    const team = await stage.team();
    await stage.video(team);
    const token = await tokenOf(team);
    const pace = stage.gateway.app.get(TenantPaceStore, { strict: false });
    const lease = new Lease(60_000);
    await stage.makeLooksDue();
    await pace.claimDueAnyTenant(lease, 100);
    await stage.sql(
      `update tenant_paces set poll_lease_expires_at = now() - interval '1 second' where tenant_id = $1`,
      [team.id],
    );
    await pace.rest(team.id, 60_000, { token, heldBy: lease });
    expect(await paceOf(team)).toMatchObject({ resting: false, calls_per_second: 10 });
    await stage.sql(
      `update tenant_paces set poll_lease_expires_at = now() + interval '1 minute' where tenant_id = $1`,
      [team.id],
    );
    await pace.rest(team.id, 60_000, { token, heldBy: lease });
    expect(await paceOf(team)).toMatchObject({ resting: true, calls_per_second: 5 });
  });

  it('should not be changed by what was said of a token that the tenant does not have any more', async () => {
    const team = await stage.team();
    const pace = stage.gateway.app.get(TenantPaceStore, { strict: false });
    await pace.rest(team.id, 60_000, { token: { ciphertext: 'of a replaced token' } });
    expect(await paceOf(team)).toMatchObject({ resting: false, calls_per_second: 10 });
  });

  it('should not be changed by what was said of a token that is being replaced at this moment', async () => {
    const team = await stage.team();
    const token = await tokenOf(team);
    const pace = stage.gateway.app.get(TenantPaceStore, { strict: false });
    const session = await stage.pool.connect();
    try {
      await session.query('begin');
      await session.query('select 1 from tenants where id = $1 for update', [team.id]);
      await session.query(`update tenants set token_ciphertext = 'of a new token' where id = $1`, [team.id]);
      let written = false;
      const resting = pace.rest(team.id, 60_000, { token }).then(() => (written = true));
      const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      await eventually(
        () => stage.sql(waiting),
        (rows) => rows.length > 0 || written,
      );
      await session.query('commit');
      await resting;
      expect(await paceOf(team)).toMatchObject({ resting: false, calls_per_second: 10 });
    } finally {
      session.release(true);
    }
  });

  it('should leave the first calls after a rest to jobs that wait to be sent', async () => {
    const team = await stage.team();
    await stage.video(team);
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 1 }, { times: 1 });
    const parked = idOf(await stage.video(team));
    const rest = (ago: string) =>
      stage.sql(
        `update tenant_paces set rest_until = now() - $2::interval, poll_due_at = now() - interval '1 second' where tenant_id = $1`,
        [team.id, ago],
      );
    await stage.sql(`update jobs set due_at = now() - interval '1 second' where id = $1`, [parked]);
    const looks = () => stage.calls(team, 'GET').length;
    const tick = async () => {
      const poller = stage.gateway.app.get(JobsPoller, { strict: false });
      await poller.tick();
      await poller.drain();
    };
    await rest('10 milliseconds');
    const before = looks();
    await tick();
    expect(looks()).toBe(before);
    // Not for ever.
    await rest('6 seconds');
    await tick();
    expect(looks()).toBeGreaterThan(before);
  });
});

describe('a caller that waits for a job', () => {
  it('should have it looked at as often as is allowed, and no longer than it waits', async () => {
    const team = await stage.team();
    const id = idOf(await stage.video(team));
    await look();
    expect((await paceOf(team))?.due_in_s).toBeGreaterThan(50);
    const waiting = request(stage.gateway.url).get(`/v1/jobs/${id}`).set(team.auth).set('prefer', 'wait=30');
    const answered = waiting.then((answer) => answer.body as { status: string });
    const hurried = await eventually(
      () => paceOf(team),
      (pace) => pace?.hurried === true,
    );
    expect(hurried?.due_in_s).toBeLessThanOrEqual(5);
    await look();
    expect((await paceOf(team))?.due_in_s).toBeLessThanOrEqual(5.6);
    stage.simulator.control.changeJob(Number((await stage.row(id)).tensorpix_id), { status: 2 });
    await look();
    expect((await answered).status).toBe('finished');
  });
});
