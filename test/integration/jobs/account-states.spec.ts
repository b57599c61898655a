import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import type { Fault } from '../../../simulator/faults.js';
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
