import { afterEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import type { Fault } from '../../../simulator/faults.js';
import { JobsSweeper } from '../../../src/modules/jobs/jobs.sweeper.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { ADMIN_KEY } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** No loop runs: these tests tick. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' }, simulator: { queueMs: 600_000 } });
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };
const ASYNC = { prefer: 'respond-async' };

async function tick(): Promise<void> {
  const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
  await submitter.tick();
  await submitter.drain();
}

/** Time passes for the account, not for its jobs. */
async function endHold(team: Team): Promise<void> {
  await stage.sql(`update tenant_paces set hold_until = now() - interval '1 second' where tenant_id = $1`, [team.id]);
}

async function patchToken(team: Team, token: string): Promise<void> {
  await request(stage.gateway.url)
    .patch(`/v1/tenants/${team.id}`)
    .set(ADMIN)
    .send({ tensorpix_token: token })
    .expect(200);
}

const STATES: [string, Fault, number, string][] = [
  ['insufficient_credits', { kind: 'payment_required' }, 402, 'insufficient_credits'],
  ['insufficient_credits', { kind: 'no_credits_400' }, 402, 'insufficient_credits'],
  ['storage_full', { kind: 'storage_400' }, 400, 'storage_full'],
  ['token_rejected', { kind: 'unauthorized' }, 502, 'upstream_token_rejected'],
];

describe.each(STATES)('an account in the state %s (%j)', (reason, fault, status, code) => {
  it('should park asynchronous jobs and hold all background sends of the tenant, visibly', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    stage.fault(team, fault);
    const first = idOf(await stage.video(team, stage.callback, ASYNC));
    await tick();
    expect(await stage.row(first)).toMatchObject({ status: 'submitting', status_reason: reason, lease_token: null });
    expect((await stage.get(team, `/v1/jobs/${first}`)).body.status_reason).toBe(reason);
    expect((await stage.events(first)).at(-1)).toMatchObject({ type: 'job.parked', data: { reason } });
    expect(await stage.deliveries(first)).toEqual([]);

    const next = await stage.video(team, {}, ASYNC);
    expect([next.status, next.body.status_reason]).toEqual([202, reason]);
    // Their own time has come; the account's has not.
    await stage.sql(`update jobs set due_at = now() - interval '1 second' where tenant_id = $1`, [team.id]);
    await tick();
    await tick();
    expect(stage.creates(team)).toBe(1);

    const theirs = idOf(await stage.video(other, {}, ASYNC));
    await tick();
    expect((await stage.row(theirs)).status).toBe('queued');
    expect((await stage.video(other)).status).toBe(201);
  });

  it('should give a waiting caller the refusal itself, now and while the tenant is held', async () => {
    const team = await stage.team();
    stage.fault(team, fault);
    const direct = await stage.video(team, stage.callback);
    expect([direct.status, direct.body.code]).toEqual([status, code]);
    expect(await stage.row(idOf(direct))).toMatchObject({ status: 'failed', error: { code } });
    expect(await stage.deliveries(idOf(direct))).toEqual([]);
    const parked = idOf(await stage.video(team, {}, ASYNC));
    await tick();
    const held = await stage.video(team);
    expect([held.status, held.body.code]).toEqual([status, code]);
    expect((await stage.row(parked)).status).toBe('submitting');
    expect(stage.creates(team)).toBe(3);
  });

  it('should let a waiting caller through who is served, although the tenant is held', async () => {
    const team = await stage.team();
    stage.fault(team, fault, { times: 1 });
    await stage.video(team, {}, ASYNC);
    await tick();
    expect((await stage.video(team)).status).toBe(201);
  });

  it('should send what was parked by itself, once, when the hold is over', async () => {
    const team = await stage.team();
    stage.fault(team, fault, { times: 2 });
    const ids = [idOf(await stage.video(team, {}, ASYNC))];
    await tick();
    ids.push(idOf(await stage.video(team, {}, ASYNC)));
    await endHold(team);
    for (const id of ids) await stage.makeDue(id);
    for (let ticks = 0; ticks < 4; ticks += 1) {
      await tick();
      await endHold(team);
      for (const id of ids) await stage.makeDue(id);
    }
    for (const id of ids) expect((await stage.row(id)).status).toBe('queued');
    expect(new Set((await stage.rowsOf(team)).map(({ tensorpix_id }) => tensorpix_id)).size).toBe(2);
  });

  it('should send what was parked at once when the token is replaced', async () => {
    const team = await stage.team();
    stage.fault(team, fault);
    const ids = [idOf(await stage.video(team, {}, ASYNC))];
    await tick();
    ids.push(idOf(await stage.video(team, {}, ASYNC)));
    for (const id of ids) expect((await stage.row(id)).status_reason).toBe(reason);
    const renewed = `renewed-${team.token}`;
    await patchToken(team, renewed);
    await tick();
    for (const id of ids) expect((await stage.row(id)).status).toBe('queued');
    const posts = stage.simulator.control
      .requests()
      .filter(({ method, tokenSuffix }) => method === 'POST' && tokenSuffix === renewed.slice(-4));
    expect(posts).toHaveLength(3);
  });

  it('should answer a key with its parked job', async () => {
    const team = await stage.team();
    stage.fault(team, fault, { times: 1 });
    const headers = { ...ASYNC, 'idempotency-key': 'parked' };
    const url = sourceUrl();
    const first = await stage.video(team, { video_url: url }, headers);
    await tick();
    const again = await stage.video(team, { video_url: url }, headers);
    expect([again.status, idOf(again), again.body.status_reason]).toEqual([202, idOf(first), reason]);
    await endHold(team);
    await stage.makeDue(idOf(first));
    await tick();
    expect((await stage.video(team, { video_url: url }, headers)).status).toBe(201);
    expect(stage.creates(team)).toBe(2);
  });
});

describe('a refusal that comes after the token was replaced', () => {
  /** A call with the token that the team has; it is answered when the team has got another of the same account. */
  async function replacedDuringCall(): Promise<Team> {
    const team = await stage.team();
    expect((await stage.video(team)).status).toBe(201);
    await stage.video(team, {}, ASYNC);
    const token = `new-${team.token}`;
    stage.simulator.control.changeAccount({ token, same_account_as: team.token });
    stage.simulator.control.changeAccount({ token: team.token, revoked: true });
    const answer = stage.hold(team);
    const sending = tick();
    await answer.untilHeld();
    await patchToken(team, token);
    answer.arrive();
    await sending;
    return team;
  }

  it('should not hold what is sent with the new one', async () => {
    const team = await replacedDuringCall();
    const paces = await stage.sql('select hold_until, hold_reason from tenant_paces where tenant_id = $1', [team.id]);
    expect(paces).toEqual([{ hold_until: null, hold_reason: null }]);
    const next = idOf(await stage.video(team, {}, ASYNC));
    await tick();
    expect((await stage.row(next)).status).toBe('queued');
  });
});

describe('a job whose caller was answered 202 for another reason', () => {
  it('should fail with a webhook when the account then refuses it', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 60 }, { times: 1 });
    stage.fault(team, 'payment_required', { times: 1 });
    const id = idOf(await stage.video(team, stage.callback));
    await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
    await stage.makeDue(id);
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'insufficient_credits' } });
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['job.failed']);
  });
});

describe('a job that is sent again after a call of unknown outcome', () => {
  it('should keep the account of its tenant while that call may come back, also when the account refuses it', async () => {
    const team = await stage.team();
    stage.fault(team, 'reset', { times: 1 });
    const id = idOf(await stage.video(team, {}, ASYNC));
    await tick();
    expect((await stage.row(id)).status).toBe('unconfirmed');
    await request(stage.gateway.url)
      .post(`/v1/tenants/${team.id}/jobs/${id}/resolve`)
      .set(ADMIN)
      .send({ decision: 'resubmit' })
      .expect(200);
    await expectKept(team);

    stage.fault(team, 'unauthorized');
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'submitting', status_reason: 'token_rejected', attempt: 2 });
    await expectKept(team);

    await request(stage.gateway.url).post(`/v1/jobs/${id}/cancel`).set(team.auth).expect(200);
    await patchToken(team, `another-${team.token}`);
  });

  /** Not by a new token, and not by one that is known to belong to another account. */
  async function expectKept(team: Team): Promise<void> {
    const stranger = await stage.team();
    for (const tensorpix_token of [`another-${team.token}`, stranger.token]) {
      const patch = request(stage.gateway.url).patch(`/v1/tenants/${team.id}`).set(ADMIN);
      const answer = await patch.send({ tensorpix_token });
      expect([answer.status, answer.body.code]).toEqual([409, 'invalid_state']);
    }
  }
});

describe('a token that is replaced while very many jobs wait for it', () => {
  const MANY = 3_500;
  const A_STATEMENT = 1_000;

  afterEach(() => stage.sql('drop trigger if exists few_a_statement on jobs'));

  /** A statement that changes more jobs than that is refused. */
  async function refuseMoreThan(most: number): Promise<void> {
    await stage.sql(`
      create or replace function refuse_many() returns trigger language plpgsql as $$
      begin
        if (select count(*) from changed) > tg_argv[0]::int then raise 'too many jobs for one statement'; end if;
        return null;
      end $$`);
    await stage.sql(`
      create or replace trigger few_a_statement after update on jobs referencing new table as changed
        for each statement execute function refuse_many(${most})`);
  }

  /** As they stand while the account refuses jobs, and some that wait for something else, sooner and later. */
  async function park(team: Team): Promise<void> {
    await stage.sql(
      `insert into jobs (id, tenant_id, account_id, kind, status, status_reason, input, callback_events, parks, observable_key, due_at)
       select gen_random_uuid(), t.id, t.account_id, 'video', 'submitting',
              case n % 7 when 0 then 'upstream_unavailable' else 'token_rejected' end, '{}', '{}', true,
              sha256(uuid_send(gen_random_uuid())), now() + interval '10 minutes' + (n / 900) * interval '1 second'
         from tenants t, generate_series(1, $2::int) as n where t.id = $1`,
      [team.id, MANY],
    );
    await stage.sql(
      `update tenant_paces set hold_until = now() + interval '10 minutes', hold_reason = 'token_rejected' where tenant_id = $1`,
      [team.id],
    );
  }

  /** How many of the jobs that wait for the account are not due, and of the others. */
  async function notDue(team: Team): Promise<{ parked: number; others: number }> {
    const [row] = await stage.sql<{ parked: number; others: number }>(
      `select count(*) filter (where status_reason = 'token_rejected')::int as parked,
              count(*) filter (where status_reason = 'upstream_unavailable')::int as others
         from jobs where tenant_id = $1 and due_at > now()`,
      [team.id],
    );
    return row!;
  }

  async function sweep(): Promise<void> {
    const sweeper = stage.gateway.app.get(JobsSweeper, { strict: false });
    while (await sweeper.tick());
  }

  it('should have them made due in batches, and nothing that waits for something else', async () => {
    const team = await stage.team();
    await park(team);
    await refuseMoreThan(A_STATEMENT);
    await patchToken(team, `renewed-${team.token}`);
    expect(await notDue(team)).toEqual({ parked: 0, others: MANY / 7 });
    await tick();
    expect(stage.creates({ ...team, token: `renewed-${team.token}` })).toBeGreaterThan(0);
  });

  it('should be taken although they cannot be made due now, and they be once that can be, and not again', async () => {
    const team = await stage.team();
    await park(team);
    await refuseMoreThan(0);
    await patchToken(team, `renewed-${team.token}`);
    expect((await notDue(team)).parked).toBe(MANY - MANY / 7);
    await refuseMoreThan(A_STATEMENT);
    await sweep();
    expect(await notDue(team)).toEqual({ parked: 0, others: MANY / 7 });
    await refuseMoreThan(MANY);
    // Done once: what the account refuses from now on waits.
    await stage.sql(`update jobs set due_at = now() + interval '1 hour' where tenant_id = $1`, [team.id]);
    await sweep();
    expect((await notDue(team)).parked).toBe(MANY - MANY / 7);
  });
});
