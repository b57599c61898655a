import { afterAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { ADMIN_KEY, createTenant, startGateway, type Gateway } from '../../support/gateway.js';
import { freePort } from '../../support/ports.js';
import { idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });

async function tick(gateway: Gateway = stage.gateway): Promise<void> {
  const submitter = gateway.app.get(JobsSubmitter, { strict: false });
  await submitter.tick();
  await submitter.drain();
}

/** An asynchronous create: recorded, and sent by the next tick. */
async function parked(team: Team, fields: object = {}): Promise<string> {
  const created = await stage.video(team, { ...stage.callback, ...fields }, { prefer: 'respond-async' });
  expect(created.status).toBe(202);
  return idOf(created);
}

async function patchTenant(team: Team, body: object): Promise<void> {
  const admin = { authorization: `Bearer ${ADMIN_KEY}` };
  await request(stage.gateway.url).patch(`/v1/tenants/${team.id}`).set(admin).send(body).expect(200);
}

describe('a parked job', () => {
  it('should fail as source_expired, without a call, when its presigned source has expired', async () => {
    const team = await stage.team();
    const expires = Math.floor(Date.now() / 1_000) + 3_600;
    const url = `${sourceUrl()}?Expires=${expires}&Signature=abc`;
    const created = await stage.video(team, { ...stage.callback, video_url: url }, { prefer: 'respond-async' });
    expect(created.body.warnings).toEqual([{ code: 'presigned_url_expires_soon', detail: expect.any(String) }]);
    const id = idOf(created);
    await stage.sql(`update jobs set source_expires_at = now() - interval '1 second' where id = $1`, [id]);
    await tick();
    expect(await stage.row(id)).toMatchObject({
      status: 'failed',
      error: { code: 'source_expired' },
      lease_token: null,
    });
    expect(stage.creates(team)).toBe(0);
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['job.failed']);
    expect((await stage.eventTypes(id)).at(-1)).toBe('job.failed');
  });

  it('should be sent while its presigned source still works', async () => {
    const team = await stage.team();
    const id = await parked(team, {
      video_url: `${sourceUrl()}?Expires=${Math.floor(Date.now() / 1_000) + 90}&Signature=a`,
    });
    await tick();
    expect((await stage.row(id)).status).toBe('queued');
  });

  it('should wait while its tenant is suspended, and go on when it is active again', async () => {
    const team = await stage.team();
    const id = await parked(team);
    await patchTenant(team, { status: 'suspended' });
    for (let ticks = 0; ticks < 3; ticks += 1) await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'submitting', attempt: 0 });
    expect(stage.creates(team)).toBe(0);

    await patchTenant(team, { status: 'active' });
    await tick();
    expect((await stage.row(id)).status).toBe('queued');
    expect(stage.creates(team)).toBe(1);
  });

  it('should not be sent while the token of its tenant rests', async () => {
    const team = await stage.team();
    const id = await parked(team);
    await stage.sql(`update tenant_paces set rest_until = now() + interval '1 hour' where tenant_id = $1`, [team.id]);
    await tick();
    expect((await stage.row(id)).attempt).toBe(0);
    await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
    await tick();
    expect((await stage.row(id)).status).toBe('queued');
  });

  it('should not be sent before it is due', async () => {
    const team = await stage.team();
    const id = await parked(team);
    await stage.sql(`update jobs set due_at = now() + interval '1 hour' where id = $1`, [id]);
    await tick();
    expect(stage.creates(team)).toBe(0);
  });

  it('should be canceled without a call', async () => {
    const team = await stage.team();
    const id = await parked(team);
    const canceled = await request(stage.gateway.url).post(`/v1/jobs/${id}/cancel`).set(team.auth);
    expect([canceled.status, canceled.body.status]).toEqual([200, 'canceled']);
    await tick();
    expect(stage.calls(team, 'POST')).toEqual([]);
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['job.canceled']);
  });

  it('should be sent exactly once when two replicas look for work at the same moment (invariant 8)', async () => {
    const team = await stage.team();
    const ids = await Promise.all(Array.from({ length: 30 }, () => parked(team)));
    const second = await startGateway(stage.databaseUrl, stage.simulator.url, { GATEWAY_ROLE: 'api' });
    try {
      const waiting = async () =>
        (await Promise.all(ids.map((id) => stage.row(id)))).filter((row) => row.due_at !== null);
      // A tick takes only so many of one tenant, and two that look at the same rows share them.
      while ((await waiting()).length > 0) await Promise.all([tick(), tick(second), tick(), tick(second)]);
    } finally {
      await second.close();
    }
    for (const id of ids) expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 1 });
    expect(stage.creates(team)).toBe(30);
  });
});

describe('a TensorPix that cannot be connected to', () => {
  let nowhere: Gateway | undefined;
  let late: Simulator | undefined;

  afterAll(async () => {
    await nowhere?.close();
    await late?.close();
  });

  it('should park the create as upstream_unavailable and be asked when it is back', async () => {
    const port = await freePort();
    nowhere = await startGateway(stage.databaseUrl, `http://127.0.0.1:${port}`, { GATEWAY_ROLE: 'api' });
    const team = { ...(await createTenant(nowhere.url, 'token-nowhere-0001')), token: 'token-nowhere-0001' };
    const auth = { authorization: `Bearer ${team.key}` };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const created = await request(nowhere.url).post('/v1/jobs').set(auth).send(body);
    expect([created.status, created.body.status, created.body.status_reason]).toEqual([
      202,
      'submitting',
      'upstream_unavailable',
    ]);
    const strict = await request(nowhere.url).post('/v1/jobs').set(auth).set('prefer', 'handling=strict').send(body);
    expect([strict.status, strict.body.code]).toEqual([502, 'upstream_error']);
    expect(strict.headers.location).toBe(`/v1/jobs/${idOf(strict)}`);
    expect((await stage.row(idOf(strict))).status).toBe('failed');

    late = await startSimulator({ port, autoCreateAccounts: true });
    const id = idOf(created);
    await stage.makeDue(id);
    await tick(nowhere);
    expect(await stage.row(id)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(late.control.requests().filter(({ method }) => method === 'POST')).toHaveLength(1);
  });
});
