import { describe, expect, it, jest } from '@jest/globals';
import request from 'supertest';
import { JobClaimsStore } from '../../../src/modules/jobs/job-claims.store.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { SubmissionService } from '../../../src/modules/jobs/submission.service.js';
import { TenantTokens } from '../../../src/modules/tenants/tenant-tokens.js';
import { TensorpixClient } from '../../../src/modules/tensorpix/tensorpix.client.js';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import type { HeldAnswer } from '../../support/held-answers.js';
import { CREATE_IMAGE, idOf, useStage, type Team } from '../../support/stage.js';

/** No loop runs: these tests tick, and so decide who comes first. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '10000' } });

async function tick(): Promise<void> {
  const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
  await submitter.tick();
  await submitter.drain();
}

/** A create whose call is under way; the caller was answered `sending`. */
async function sending(team: Team): Promise<{ id: string; answer: HeldAnswer }> {
  const answer = stage.hold(team);
  const created = await stage.video(team, stage.callback, { prefer: 'wait=0' });
  expect([created.status, created.body.status_reason]).toEqual([202, 'sending']);
  await answer.untilHeld();
  return { id: idOf(created), answer };
}

async function expireLease(id: string): Promise<void> {
  await stage.sql(`update jobs set lease_expires_at = now() - interval '1 second' where id = $1`, [id]);
}

/** As a sender that died leaves a row: claimed, with nobody behind the claim. */
async function loseSender(id: string): Promise<void> {
  await stage.sql(
    `update jobs set lease_token = gen_random_uuid(), lease_expires_at = now() - interval '1 second', due_at = null,
            attempt = 1, status_reason = 'sending' where id = $1`,
    [id],
  );
}

describe('a row whose sender died', () => {
  it('should be left alone while its lease lasts', async () => {
    const team = await stage.team();
    const { id, answer } = await sending(team);
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'submitting', status_reason: 'sending' });
    answer.arrive();
    await stage.untilRow(id, ({ status }) => status === 'queued');
    expect(stage.creates(team)).toBe(1);
  });

  it('should become unconfirmed, and never be sent, once its lease has expired (invariants 2 and 8)', async () => {
    const team = await stage.team();
    const id = idOf(await stage.video(team, stage.callback, { prefer: 'respond-async' }));
    await loseSender(id);
    for (let ticks = 0; ticks < 3; ticks += 1) await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'unconfirmed', lease_token: null, due_at: null });
    expect((await stage.events(id)).at(-1)).toMatchObject({ type: 'job.unconfirmed', data: { reason: 'sender_lost' } });
    expect(stage.creates(team)).toBe(0);
  });

  it('should not be settled twice by two replicas that find it at once', async () => {
    const team = await stage.team();
    const created = await Promise.all(
      Array.from({ length: 20 }, () => stage.video(team, {}, { prefer: 'respond-async' })),
    );
    const ids = created.map(idOf);
    for (const id of ids) await loseSender(id);
    await Promise.all([tick(), tick(), tick()]);
    for (const id of ids) expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.unconfirmed']);
  });
});

describe('a call that waits for a connection', () => {
  const CONNECTIONS = 256;
  const BALANCE = '/api/accounts/profile/balance/';

  /** Takes every connection to TensorPix, until `freed`. */
  async function takeConnections(): Promise<{ freed: Promise<unknown> }> {
    const token = 'token-that-is-busy-0001';
    stage.simulator.control.addFault({ match: { path: BALANCE, token }, fault: { kind: 'slow', delay_ms: 6_000 } });
    const client = stage.gateway.app.get(TensorpixClient, { strict: false });
    const freed = Promise.all(Array.from({ length: CONNECTIONS }, () => client.getBalance(token)));
    await eventually(
      () => stage.simulator.control.requests().filter(({ path }) => path === BALANCE).length,
      (count) => count >= CONNECTIONS,
    );
    return { freed };
  }

  it('should not be written after its lease, when the process stood still meanwhile (invariants 2 and 8)', async () => {
    const team = await stage.team();
    const id = idOf(await stage.video(team, {}, { prefer: 'respond-async' }));
    const { freed } = await takeConnections();
    const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
    await submitter.tick();
    expect(await stage.row(id)).toMatchObject({ status: 'submitting', status_reason: 'sending' });
    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + 600_000);
    try {
      await freed;
      await submitter.drain();
    } finally {
      jest.restoreAllMocks();
    }
    expect(stage.creates(team)).toBe(0);
    expect(await stage.row(id)).toMatchObject({ status: 'submitting', lease_token: null, attempt: 0 });
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.sending', 'job.claim_released']);
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 1 });
    expect(stage.creates(team)).toBe(1);
  });
});

describe('a claim that is given back', () => {
  it('should not forget a cancel that was asked for meanwhile, and nothing is sent', async () => {
    const team = await stage.team();
    const id = idOf(await stage.video(team, stage.callback, { prefer: 'respond-async' }));
    const [claims, submissions, tokens] = [JobClaimsStore, SubmissionService, TenantTokens].map((type) =>
      stage.gateway.app.get(type, { strict: false }),
    ) as [JobClaimsStore, SubmissionService, TenantTokens];
    const lease = submissions.newLease();
    const all = '00000000-0000-0000-0000-000000000000';
    const { jobs } = await claims.claimDueAnyTenant(lease, { after: all, until: all, limit: 10, most: 8, busy: [] });
    const claimed = jobs.find(({ job }) => job.id === id);
    if (!claimed) throw new Error('the job was not claimed');
    const canceled = await request(stage.gateway.url).post(`/v1/jobs/${id}/cancel`).set(team.auth);
    expect([canceled.status, canceled.body.status]).toEqual([202, 'submitting']);

    const now = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => now() + 9_000);
    try {
      await submissions.submit(claimed, tokens.open(team.id, claimed.tokenCiphertext), lease);
    } finally {
      jest.restoreAllMocks();
    }
    expect(await stage.row(id)).toMatchObject({ status: 'canceled', due_at: null, lease_token: null, attempt: 0 });
    const types = ['job.submitting', 'job.sending', 'job.cancel_requested', 'job.claim_released', 'job.canceled'];
    expect(await stage.eventTypes(id)).toEqual(types);
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['job.canceled']);
    await tick();
    expect(stage.creates(team)).toBe(0);
  });
});

describe('a late answer of TensorPix', () => {
  it('should bind its id to the row although the lease has expired (invariant 8)', async () => {
    const team = await stage.team();
    const { id, answer } = await sending(team);
    await expireLease(id);
    await tick();
    expect((await stage.row(id)).status).toBe('unconfirmed');

    answer.arrive();
    const bound = await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(bound.status).toBe('queued');
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.unconfirmed', 'job.queued']);
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['job.queued']);
    expect(stage.creates(team)).toBe(1);
  });

  it('should be recorded as upstream_duplicate when the row has another id already', async () => {
    const team = await stage.team();
    const { id, answer } = await sending(team);
    await stage.sql(
      `update jobs set status = 'queued', tensorpix_id = 999000111, lease_token = null, lease_expires_at = null,
              sequence = sequence + 1 where id = $1`,
      [id],
    );
    await stage.sql(`insert into job_events (job_id, sequence, tenant_id, type) values ($1, 2, $2, 'job.queued')`, [
      id,
      team.id,
    ]);
    const duplicates = await stage.metric('gateway_upstream_duplicates_total');
    answer.arrive();
    await eventually(
      () => stage.eventTypes(id),
      (types) => types.includes('job.upstream_duplicate'),
    );
    expect(await stage.row(id)).toMatchObject({ status: 'queued', tensorpix_id: '999000111' });
    expect((await stage.events(id)).at(-1)?.data).toEqual({ tensorpix_id: expect.any(Number) });
    expect(await stage.metric('gateway_upstream_duplicates_total')).toBe(duplicates + 1);
    const shown = await stage.get(team, `/v1/jobs/${id}/events`);
    expect(JSON.stringify(shown.body)).toContain('upstream_duplicate');
  });

  it('should not bind to a row whose tenant has another account by now, and be shown with it (invariant 3)', async () => {
    const team = await stage.team();
    const admin = { authorization: `Bearer ${ADMIN_KEY}` };
    const { id, answer } = await sending(team);
    await expireLease(id);
    await tick();
    const { url } = stage.gateway;
    const path = `/v1/tenants/${team.id}`;
    const decision = { decision: 'resubmit' };
    const resolved = await request(url).post(`${path}/jobs/${id}/resolve`).set(admin).send(decision);
    expect(resolved.status).toBe(200);
    // A change of the token refuses that; nothing else may depend on it.
    await stage.sql(
      `with account as (insert into tensorpix_accounts (id) values (gen_random_uuid()) returning id)
       update tenants set account_id = account.id from account where tenants.id = $1`,
      [team.id],
    );

    answer.arrive();
    const types = await eventually(
      () => stage.eventTypes(id),
      (found) => found.includes('job.upstream_duplicate'),
    );
    expect(types.slice(-2)).toEqual(['job.submitting', 'job.upstream_duplicate']);
    const data = { tensorpix_id: expect.any(Number), reason: 'account_changed' };
    expect((await stage.events(id)).at(-1)?.data).toEqual(data);
    expect(await stage.row(id)).toMatchObject({ status: 'submitting', tensorpix_id: null });
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 2 });
  });

  it('should be kept with a row that has ended meanwhile, which stays as it is', async () => {
    const team = await stage.team();
    const { id, answer } = await sending(team);
    await stage.sql(
      `update jobs set status = 'failed', finished_at = now(), lease_token = null, lease_expires_at = null,
              error = '{"code":"resolved","detail":"by a person"}', sequence = sequence + 1 where id = $1`,
      [id],
    );
    await stage.sql(`insert into job_events (job_id, sequence, tenant_id, type) values ($1, 2, $2, 'job.failed')`, [
      id,
      team.id,
    ]);
    answer.arrive();
    const row = await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(row).toMatchObject({ status: 'failed', error: { code: 'resolved' } });
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.failed', 'job.bound_late']);
  });

  it('should bind although a cancel was asked for during the call, which is then not forgotten', async () => {
    const team = await stage.team();
    const { id, answer } = await sending(team);
    const canceled = await request(stage.gateway.url).post(`/v1/jobs/${id}/cancel`).set(team.auth);
    expect(canceled.status).toBe(202);
    answer.arrive();
    const row = await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(row).toMatchObject({ status: 'queued' });
    const [wish] = await stage.sql('select cancel_requested_at is not null as wanted from jobs where id = $1', [id]);
    expect(wish).toEqual({ wanted: true });
  });
});

describe('a late image of TensorPix', () => {
  /** An image whose call is under way, and whose claim ends before it is answered. */
  const KEY = { 'idempotency-key': 'an image' };

  async function sendingImage(team: Team, watermark: boolean): Promise<{ id: string; answer: HeldAnswer }> {
    const answer = stage.hold(team, { path: CREATE_IMAGE });
    const created = await stage.image(team, { watermark }, { ...KEY, prefer: 'wait=0' });
    expect([created.status, created.body.status_reason]).toEqual([202, 'sending']);
    await answer.untilHeld();
    await expireLease(idOf(created));
    return { id: idOf(created), answer };
  }

  it('should be an event and nothing to alarm anyone when it is free and was repeated meanwhile', async () => {
    const team = await stage.team();
    const duplicates = await stage.metric('gateway_upstream_duplicates_total');
    const { id, answer } = await sendingImage(team, true);
    await tick();
    answer.arrive();
    const types = await eventually(
      () => stage.eventTypes(id),
      (found) => found.includes('image.upstream_duplicate'),
    );
    expect(types.filter((type) => type === 'image.finished')).toHaveLength(1);
    expect(stage.calls(team, 'POST', CREATE_IMAGE)).toHaveLength(2);
    expect(await stage.metric('gateway_upstream_duplicates_total')).toBe(duplicates);
  });

  it('should be kept with the row when it was paid for and had been given up', async () => {
    const team = await stage.team();
    const duplicates = await stage.metric('gateway_upstream_duplicates_total');
    const { id, answer } = await sendingImage(team, false);
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'outcome_unknown' } });
    const repeat = () => stage.image(team, { watermark: false }, KEY);
    expect(await repeat()).toMatchObject({ status: 504, body: { job_id: id } });
    answer.arrive();
    const types = await eventually(
      () => stage.eventTypes(id),
      (found) => found.includes('image.bound_late'),
    );
    expect(types).toEqual(['image.submitting', 'image.failed', 'image.bound_late']);
    const shown = await stage.get(team, `/v1/images/${id}`);
    expect(shown.body).toMatchObject({ status: 'failed', output: { enhanced_img_id: expect.any(String) } });
    // Its key must not tell that another charge is needed.
    expect(await repeat()).toMatchObject({ status: 202, body: { id, output: shown.body.output } });
    expect(stage.calls(team, 'POST', CREATE_IMAGE)).toHaveLength(1);
    expect(await stage.metric('gateway_upstream_duplicates_total')).toBe(duplicates);
  });
});
