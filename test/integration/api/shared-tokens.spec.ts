import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import request, { type Response } from 'supertest';
import { ADMIN_KEY, createTenant } from '../../support/gateway.js';
import { untilBlocked } from '../../support/locks.js';
import { idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const stage = useStage();
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };
let tokens = 0;

/** Another tenant with the same token, and so of the same account. */
async function sharing(team: Team): Promise<Team> {
  const tenant = await createTenant(stage.gateway.url, team.token);
  return { ...tenant, token: team.token, auth: { authorization: `Bearer ${tenant.key}` } };
}

function newToken(): string {
  return `token-that-replaces-${String((tokens += 1)).padStart(4, '9')}`;
}

/** TensorPix gives out another token for the account. */
function rotated(team: Team): string {
  const token = newToken();
  stage.simulator.control.changeAccount({ token, same_account_as: team.token });
  return token;
}

async function patchToken(team: Team, token: string): Promise<Response> {
  return request(stage.gateway.url).patch(`/v1/tenants/${team.id}`).set(ADMIN).send({ tensorpix_token: token });
}

async function accountOf({ id }: { id: string }): Promise<string | undefined> {
  const [row] = await stage.sql<{ account_id: string }>('select account_id from tenants where id = $1', [id]);
  return row?.account_id;
}

async function accounts(): Promise<number> {
  return (await stage.sql('select 1 from tensorpix_accounts')).length;
}

async function isKnown(token: string): Promise<boolean> {
  const fingerprint = createHash('sha256').update(token).digest();
  return (await stage.sql('select 1 from token_fingerprints where fingerprint = $1', [fingerprint])).length > 0;
}

describe('a token that two tenants share and TensorPix has replaced', () => {
  it('should keep its account when the tenant without jobs changes first, and jobs under way be followed', async () => {
    const busy = await stage.team();
    const idle = await sharing(busy);
    const account = await accountOf(busy);
    expect(await accountOf(idle)).toBe(account);
    const created = await stage.video(busy, { video_url: sourceUrl('sim-stick') });
    expect(created.status).toBe(201);

    const token = rotated(busy);
    expect((await patchToken(idle, token)).status).toBe(200);
    expect([await accountOf(busy), await accountOf(idle)]).toEqual([account, account]);
    expect((await patchToken(busy, token)).status).toBe(200);
    expect([await accountOf(busy), await accountOf(idle)]).toEqual([account, account]);

    stage.simulator.control.changeAccount({ token: busy.token, revoked: true });
    stage.simulator.control.changeJob(Number(created.body.tensorpix_id), { status: 2 });
    await stage.untilRow(idOf(created), ({ status }) => status === 'finished');
    for (const team of [busy, idle]) expect((await stage.video(team)).status).toBe(201);
  });

  it('should keep its account when all jobs of it have ended', async () => {
    const team = await stage.team();
    const idle = await sharing(team);
    const account = await accountOf(team);
    await stage.untilRow(idOf(await stage.video(team)), ({ status }) => status === 'finished');
    const token = rotated(team);
    for (const tenant of [idle, team]) expect((await patchToken(tenant, token)).status).toBe(200);
    expect([await accountOf(team), await accountOf(idle)]).toEqual([account, account]);
  });

  it('should keep its account when the tenant without jobs changes first, and a job of unknown outcome be found', async () => {
    const team = await stage.team();
    const idle = await sharing(team);
    const account = await accountOf(team);
    expect((await stage.video(team, { video_url: sourceUrl('sim-stick') })).status).toBe(201);
    stage.fault(team, 'error_after_commit', { times: 1 });
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$' } });
    const unknown = idOf(await stage.video(team, { video_url: sourceUrl('sim-stick') }));
    expect((await stage.row(unknown)).status).toBe('unconfirmed');
    const token = rotated(team);
    for (const tenant of [idle, team]) expect((await patchToken(tenant, token)).status).toBe(200);
    expect([await accountOf(team), await accountOf(idle)]).toEqual([account, account]);
    stage.simulator.control.clearFaults();
    await stage.untilRow(unknown, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(await stage.eventTypes(unknown)).toContain('job.adopted');
  });
});

describe('a token that two tenants share, replaced while nothing tells whose the new one is', () => {
  const standing = async (team: Team, other: Team) => [await accountOf(team), await accountOf(other), await accounts()];

  it.each(['server_error', 'rate_limited', 'forbidden'] as const)(
    'should be kept when TensorPix answers the look for an ended job with %s, and replaced afterwards',
    async (kind) => {
      const team = await stage.team();
      const other = await sharing(team);
      await stage.untilRow(idOf(await stage.video(team)), ({ status }) => status === 'finished');
      const before = await standing(team, other);
      const token = rotated(team);
      stage.fault({ ...team, token }, kind, { match: { method: 'GET', path: '/api/jobs/' } });
      const refused = await patchToken(team, token);
      expect([refused.status, refused.body.code, refused.headers['retry-after']]).toEqual([503, 'unavailable', '30']);
      expect([await isKnown(token), ...(await standing(team, other))]).toEqual([false, ...before]);

      stage.endFaults({ ...team, token });
      expect((await patchToken(team, token)).status).toBe(200);
      expect(await standing(team, other)).toEqual(before);
    },
  );

  it('should be kept when TensorPix answers the look for a job with another one', async () => {
    const team = await stage.team();
    const other = await sharing(team);
    const { body: job } = await stage.video(team, { video_url: sourceUrl('sim-stick') });
    const id = job.tensorpix_id as number;
    const before = await standing(team, other);
    const token = rotated(team);
    const { body } = await request(stage.simulator.url)
      .get(`/api/jobs/${id}/`)
      .set({ authorization: `Token ${team.token}` })
      .expect(200);
    const another = { ...(body as object), id: id + 1_000 };
    const match = { method: 'GET', path: '/api/jobs/' };
    stage.fault({ ...team, token }, { kind: 'body', status: 200, body: another }, { match });
    const refused = await patchToken(team, token);
    expect([refused.status, refused.body.code]).toEqual([503, 'unavailable']);
    expect([await isKnown(token), ...(await standing(team, other))]).toEqual([false, ...before]);

    stage.endFaults({ ...team, token });
    expect((await patchToken(team, token)).status).toBe(200);
  });

  it('should be kept when there is no job to tell by, until there is one', async () => {
    const team = await stage.team();
    const other = await sharing(team);
    const before = await standing(team, other);
    const token = rotated(team);
    const refused = await patchToken(team, token);
    expect([refused.status, refused.body.code]).toEqual([409, 'invalid_state']);
    expect(refused.body.detail).toContain('Another tenant shares');
    expect([await isKnown(token), ...(await standing(team, other))]).toEqual([false, ...before]);

    expect((await stage.video(other)).status).toBe(201);
    expect((await patchToken(team, token)).status).toBe(200);
    expect(await standing(team, other)).toEqual(before);
  });

  it('should be replaced without a job to tell by once the other tenant is deleted', async () => {
    const team = await stage.team();
    const other = await sharing(team);
    const token = newToken();
    expect((await patchToken(team, token)).status).toBe(409);
    await request(stage.gateway.url).delete(`/v1/tenants/${other.id}`).set(ADMIN).expect(204);
    expect((await patchToken(team, token)).status).toBe(200);
  });
});

describe('a token of another account that is refused while jobs are under way', () => {
  it('should leave nothing behind, and be free for another tenant', async () => {
    const team = await stage.team();
    const account = await accountOf(team);
    expect((await stage.video(team, { video_url: sourceUrl('sim-stick') })).status).toBe(201);
    const [token, before] = [newToken(), await accounts()];
    const refused = await patchToken(team, token);
    expect([refused.status, refused.body.code]).toEqual([409, 'invalid_state']);
    expect([await isKnown(token), await accounts(), await accountOf(team)]).toEqual([false, before, account]);

    const other = await createTenant(stage.gateway.url, token);
    expect(await accountOf(other)).not.toBe(account);
    expect([await isKnown(token), await accounts()]).toEqual([true, before + 1]);
  });

  it('should leave nothing behind when the job was sent while the token was looked at', async () => {
    const team = await stage.team();
    const account = await accountOf(team);
    await stage.untilRow(idOf(await stage.video(team)), ({ status }) => status === 'finished');
    const [token, before] = [newToken(), await accounts()];

    // This lock lets new jobs of the tenant in, and keeps the change of its token waiting.
    const session = await stage.pool.connect();
    try {
      await session.query('begin');
      await session.query('select 1 from tenants where id = $1 for key share', [team.id]);
      const patching = patchToken(team, token);
      await untilBlocked(stage);
      expect((await stage.video(team, { video_url: sourceUrl('sim-stick') })).status).toBe(201);
      await session.query('commit');
      const refused = await patching;
      expect([refused.status, refused.body.code]).toEqual([409, 'invalid_state']);
    } finally {
      session.release(true);
    }
    expect([await isKnown(token), await accounts(), await accountOf(team)]).toEqual([false, before, account]);
    const other = await createTenant(stage.gateway.url, token);
    expect(await accountOf(other)).not.toBe(account);
  });
});

describe('a token that TensorPix throttles', () => {
  it('should rest for every tenant that has it, and for no other', async () => {
    const [team, stranger] = [await stage.team(), await stage.team()];
    const other = await sharing(team);
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 600 }, { times: 1 });
    expect((await stage.video(team)).body.status_reason).toBe('rate_limited');
    await stage.untilRest(other);
    const [rests] = await stage.sql<{ equal: boolean }>(
      'select count(distinct rest_until) = 1 as equal from tenant_paces where tenant_id = any($1)',
      [[team.id, other.id]],
    );
    expect(rests).toEqual({ equal: true });

    const waiting = await stage.video(other);
    expect([waiting.status, waiting.body.status, waiting.body.status_reason]).toEqual([
      202,
      'submitting',
      'rate_limited',
    ]);
    expect(stage.creates(team)).toBe(1);
    expect((await stage.video(stranger)).status).toBe(201);
  });
});

describe('a tenant with a token that is known', () => {
  it('should need no account that is then removed: for that, Postgres reads all jobs', async () => {
    const team = await stage.team();
    const before = await accounts();
    await stage.sql(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'an account is removed'; end $$`,
    );
    await stage.sql('create trigger kept before delete on tensorpix_accounts for each row execute function refuse()');
    expect(await accountOf(await sharing(team))).toBe(await accountOf(team));
    expect(await accounts()).toBe(before);
  });
});
