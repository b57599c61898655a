import { afterAll, describe, expect, it } from '@jest/globals';
import { request as httpRequest, type ClientRequest } from 'node:http';
import request from 'supertest';
import { eventually, startGateway } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

// Before the gateway is closed, which would wait for what is not answered yet.
afterAll(() => stage.simulator?.close());
const stage = useStage({ env: { TENSORPIX_TIMEOUT_MS: '10000' } });

describe('a caller that does not wait as long as TensorPix takes', () => {
  it.concurrent('should get 202 sending, and the job its id and job.queued when TensorPix answers', async () => {
    const team = await stage.team();
    const answer = stage.hold(team);
    const created = await stage.video(team, stage.callback, { prefer: 'wait=1' });
    answer.arrive();
    expect(created.status).toBe(202);
    expect(created.body).toMatchObject({ status: 'submitting', status_reason: 'sending', tensorpix_id: null });
    const id = idOf(created);
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(1);
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.tensorpix_id).toEqual(expect.any(Number));
  });

  it.concurrent('should get 202 at once with wait=0, though TensorPix answers quickly', async () => {
    const team = await stage.team();
    const created = await stage.video(team, stage.callback, { prefer: 'wait=0' });
    expect([created.status, created.body.status_reason]).toEqual([202, 'sending']);
    await stage.untilWebhooks(idOf(created), ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(1);
  });

  it.concurrent.each(['', ', handling=strict'])(
    'should be told of a later refusal by job.failed%s',
    async (handling) => {
      const team = await stage.team();
      const url = sourceUrl('not-a-video');
      const answer = stage.hold(team);
      const created = await stage.video(team, { ...stage.callback, video_url: url }, { prefer: `wait=1${handling}` });
      answer.arrive();
      expect(created.status).toBe(202);
      const id = idOf(created);
      await stage.untilWebhooks(id, ['job.failed']);
      const { error } = await stage.row(id);
      expect(error).toMatchObject({ code: 'validation_failed' });
      expect(Object.keys(error?.errors ?? {})).toEqual(['video_url']);
    },
  );

  it('should see it unconfirmed when TensorPix then gives no answer', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$' } });
    stage.fault(team, 'no_answer_after_commit', { times: 1 });
    const env = { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '2000' };
    const impatient = await startGateway(stage.databaseUrl, stage.simulator.url, env);
    try {
      const created = await request(impatient.url)
        .post('/v1/jobs')
        .set({ ...team.auth, prefer: 'wait=1' })
        .send({ video_url: sourceUrl(), ml_models: [1], ...stage.callback });
      expect([created.status, created.body.status_reason]).toEqual([202, 'sending']);
      await stage.untilRow(idOf(created), ({ status }) => status === 'unconfirmed');
      expect(stage.creates(team)).toBe(1);
      expect(await stage.deliveries(idOf(created))).toEqual([]);
    } finally {
      await impatient.close();
    }
  });

  it('should be parked, not failed, when TensorPix throttles after the 202', async () => {
    const team = await stage.team();
    const answer = stage.hold(team, {}, { kind: 'rate_limited', retry_after_s: 1 });
    const created = await stage.video(team, stage.callback, { prefer: 'wait=1' });
    answer.arrive();
    expect([created.status, created.body.status_reason]).toEqual([202, 'sending']);
    await stage.untilWebhooks(idOf(created), ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(2);
  });
});

/** Sends a create and leaves it to the caller to hang up. */
function openCreate(team: Team, fields: object): ClientRequest {
  const body = JSON.stringify({ video_url: sourceUrl(), ml_models: [1], ...fields });
  const headers = { ...team.auth, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const sent = httpRequest(`${stage.gateway.url}/v1/jobs`, { method: 'POST', headers });
  sent.on('error', () => undefined);
  sent.end(body);
  return sent;
}

async function theRow(team: Team): Promise<string> {
  const [row] = await eventually(
    () => stage.rowsOf(team),
    (rows) => rows.length === 1,
  );
  return row?.id ?? '';
}

describe('a caller that has hung up', () => {
  it.concurrent('should be told of the refusal by job.failed', async () => {
    const team = await stage.team();
    const answer = stage.hold(team);
    const lost = openCreate(team, { ...stage.callback, video_url: sourceUrl('not-a-video') });
    const id = await theRow(team);
    await answer.untilHeld();
    lost.destroy();
    // When the gateway has answered what came after that, it has seen that too.
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.status).toBe('submitting');
    answer.arrive();
    await stage.untilWebhooks(id, ['job.failed']);
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'validation_failed' } });
  });

  it.concurrent('should still get its job, once', async () => {
    const team = await stage.team();
    const answer = stage.hold(team);
    const lost = openCreate(team, stage.callback);
    const id = await theRow(team);
    lost.destroy();
    answer.arrive();
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(1);
  });
});

describe('a caller that does not wait at all (respond-async)', () => {
  it('should get 202 submitting, and its job goes to the end', async () => {
    const team = await stage.team();
    const created = await stage.video(team, stage.callback, { prefer: 'respond-async' });
    expect(created.status).toBe(202);
    expect(created.body).toMatchObject({ status: 'submitting', tensorpix_id: null, submitted_at: null });
    const id = idOf(created);
    expect(created.headers.location).toBe(`/v1/jobs/${id}`);
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect((await stage.eventTypes(id)).slice(0, 3)).toEqual(['job.submitting', 'job.sending', 'job.queued']);
    expect(stage.creates(team)).toBe(1);
  });

  it('should not keep other tenants waiting behind its slow calls (invariant 16)', async () => {
    const [busy, other] = [await stage.team(), await stage.team()];
    stage.fault(busy, { kind: 'slow', delay_ms: 60_000 });
    await Promise.all(Array.from({ length: 70 }, () => stage.video(busy, {}, { prefer: 'respond-async' })));
    const created = await stage.video(other, {}, { prefer: 'respond-async' });
    const row = await stage.untilRow(idOf(created), ({ status }) => status !== 'submitting');
    expect(row.tensorpix_id).not.toBeNull();
    // Nobody but the other tenant got an answer before, so that it did not wait for one.
    const statuses = (await stage.rowsOf(busy)).map(({ status }) => status);
    expect(statuses).toEqual(Array.from({ length: 70 }, () => 'submitting'));
  });
});
