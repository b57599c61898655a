import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { request as httpRequest, type ClientRequest } from 'node:http';
import request, { type Response } from 'supertest';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { CREATE_VIDEO, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** No loop runs: these tests tick. */
const ENV = { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '10000', RECONCILE_GRACE_MS: '400' };
const stage = useStage({ env: ENV, simulator: { queueMs: 600_000 } });
let second: Gateway;
let keys = 0;

beforeAll(async () => {
  second = await startGateway(stage.databaseUrl, stage.simulator.url, ENV);
});

afterAll(async () => {
  await second?.close();
});

function newKey(): string {
  return `key-${(keys += 1)}`;
}

async function post(gateway: Gateway, team: Team, body: object, headers: Record<string, string>): Promise<Response> {
  return request(gateway.url).post('/v1/jobs').set(team.auth).set(headers).send(body);
}

async function tick(): Promise<void> {
  const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
  await submitter.tick();
  await submitter.drain();
}

async function lookForUnknown(): Promise<void> {
  await stage.sql(`update tensorpix_accounts set reconcile_due_at = now() - interval '1 second'
                    where reconcile_due_at is not null`);
  const reconciler = stage.gateway.app.get(JobsReconciler, { strict: false });
  await reconciler.tick();
  await reconciler.drain();
}

async function callUnderWay(team: Team): Promise<void> {
  await eventually(
    () => stage.creates(team),
    (count) => count === 1,
  );
}

describe('many requests with one key at the same moment', () => {
  it('should make one job over two gateways, and tell all of it', async () => {
    const team = await stage.team();
    const key = newKey();
    const body = { video_url: sourceUrl(), ml_models: [1] };
    stage.fault(team, { kind: 'slow', delay_ms: 300 });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        post(i % 2 ? second : stage.gateway, team, body, { 'idempotency-key': key }),
      ),
    );
    const [row, ...others] = await stage.rowsOf(team);
    expect(others).toEqual([]);
    expect(stage.creates(team)).toBe(1);
    for (const answer of answers) {
      expect([201, 202, 409]).toContain(answer.status);
      if (answer.status === 409) {
        expect(answer.body.code).toBe('idempotency_in_progress');
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      } else expect(idOf(answer)).toBe(row?.id);
    }
    const originals = answers.filter(({ status, headers }) => status < 300 && !headers['idempotency-replayed']);
    expect(originals.map(({ status }) => status)).toEqual([201]);
    const [kept] = await stage.sql('select * from idempotency_keys where tenant_id = $1', [team.id]);
    expect(kept).toMatchObject({ job_id: row?.id, answer_status: 201, locked_until: null });
  });

  it('should make one job each of many keys that two gateways get in opposite order', async () => {
    const team = await stage.team();
    const requests = Array.from({ length: 60 }, () => ({
      body: { video_url: sourceUrl(), ml_models: [1] },
      headers: { 'idempotency-key': newKey(), prefer: 'respond-async' },
    }));
    const sendAll = (gateway: Gateway, all: typeof requests) =>
      Promise.all(all.map(({ body, headers }) => post(gateway, team, body, headers)));
    const [one, two] = await Promise.all([
      sendAll(stage.gateway, requests),
      sendAll(second, [...requests].reverse()).then((answers) => answers.reverse()),
    ]);
    expect([...one, ...two].map(({ status }) => status)).toEqual(Array.from({ length: 120 }, () => 202));
    expect(one.map(idOf)).toEqual(two.map(idOf));
    expect(await stage.rowsOf(team)).toHaveLength(60);
  });

  it('should make one image that is charged once', async () => {
    const team = await stage.team();
    const key = newKey();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => stage.image(team, { watermark: false }, { 'idempotency-key': key })),
    );
    expect(await stage.rowsOf(team)).toHaveLength(1);
    expect(stage.calls(team, 'POST')).toHaveLength(1);
    expect(answers.every(({ status }) => [201, 409].includes(status))).toBe(true);
  });

  it('should not let one that is answered with an error keep the key from the next', async () => {
    const team = await stage.team();
    const key = newKey();
    stage.fault(team, 'payment_required', { times: 3 });
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const created = await eventually(
      async () =>
        Promise.all([1, 2, 3].map((i) => post(i % 2 ? second : stage.gateway, team, body, { 'idempotency-key': key }))),
      (answers) => answers.some(({ status }) => status === 201),
    );
    expect(created.every(({ status }) => [201, 402, 409].includes(status))).toBe(true);
    const rows = await stage.rowsOf(team);
    expect(rows.filter(({ status }) => status !== 'failed')).toHaveLength(1);
  });
});

describe('a key whose request is being answered', () => {
  it('should answer 409 with Retry-After on every replica, then the answer', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey() };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const answer = stage.hold(team);
    const first = post(stage.gateway, team, body, headers).then((response) => response);
    await answer.untilHeld();
    for (const gateway of [stage.gateway, second]) {
      const refused = await post(gateway, team, body, headers);
      expect([refused.status, refused.body.code]).toEqual([409, 'idempotency_in_progress']);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(refused.headers['content-type']).toContain('application/problem+json');
    }
    answer.arrive();
    const created = await first;
    expect(created.status).toBe(201);
    const replayed = await post(second, team, body, headers);
    expect([replayed.status, replayed.text, replayed.headers['idempotency-replayed']]).toEqual([
      201,
      created.text,
      'true',
    ]);
  });

  it('should answer 202, not 409, once its caller was answered 202', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey(), prefer: 'wait=0' };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const answer = stage.hold(team);
    const first = await post(stage.gateway, team, body, headers);
    expect([first.status, first.body.status_reason]).toEqual([202, 'sending']);
    const again = await post(second, team, body, headers);
    expect([again.status, again.body.status_reason, again.headers['idempotency-replayed']]).toEqual([
      202,
      'sending',
      'true',
    ]);
    answer.arrive();
    const bound = await eventually(
      () => post(second, team, body, headers),
      ({ status }) => status === 201,
    );
    expect([idOf(bound), bound.headers.location]).toEqual([idOf(first), `/v1/jobs/${idOf(first)}`]);
    expect(stage.creates(team)).toBe(1);
  });
});

/** Sends a create and leaves it to the caller to hang up. */
function openCreate(team: Team, body: object, headers: Record<string, string>): ClientRequest {
  const text = JSON.stringify(body);
  const sent = httpRequest(`${stage.gateway.url}/v1/jobs`, {
    method: 'POST',
    headers: {
      ...team.auth,
      ...headers,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    },
  });
  sent.on('error', () => undefined);
  sent.end(text);
  return sent;
}

describe('a caller that hangs up during the call', () => {
  it('should get the 201 of its one job when it asks again', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey() };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const answer = stage.hold(team);
    const lost = openCreate(team, body, headers);
    await answer.untilHeld();
    lost.destroy();
    expect((await post(second, team, body, headers)).status).toBe(409);
    answer.arrive();
    const again = await eventually(
      () => post(second, team, body, headers),
      ({ status }) => status !== 409,
    );
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([201, 'true']);
    const [row] = await stage.rowsOf(team);
    expect([idOf(again), again.body.tensorpix_id]).toEqual([row?.id, Number(row?.tensorpix_id)]);
    expect(stage.creates(team)).toBe(1);
  });

  it("should get TensorPix's 400 when it asks again", async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey() };
    const body = { video_url: sourceUrl('not-a-video'), ml_models: [1] };
    stage.fault(team, { kind: 'slow', delay_ms: 500 }, { times: 1 });
    const lost = openCreate(team, body, headers);
    await callUnderWay(team);
    lost.destroy();
    const again = await eventually(
      () => post(second, team, body, headers),
      ({ status }) => status !== 409,
    );
    expect([again.status, again.body.code]).toEqual([400, 'validation_failed']);
    expect(Object.keys(again.body.errors)).toEqual(['video_url']);
    expect(stage.creates(team)).toBe(1);
  });

  it('should make a new job with the key when it was refused for missing credits', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey() };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    stage.simulator.state.options.latencyMs = 500;
    stage.fault(team, 'payment_required', { times: 1 });
    const lost = openCreate(team, body, headers);
    await callUnderWay(team);
    lost.destroy();
    stage.simulator.state.options.latencyMs = 0;
    const again = await eventually(
      () => post(second, team, body, headers),
      ({ status }) => status !== 409,
    );
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([201, undefined]);
    expect((await stage.rowsOf(team)).map(({ status }) => status)).toEqual(['failed', 'queued']);
  });
});

describe('a key whose owner died', () => {
  /** As a gateway that was killed between its call and its record leaves a create: leased by nobody, its key locked. */
  async function dead(team: Team, body: object, headers: Record<string, string>): Promise<string> {
    const id = idOf(await post(stage.gateway, team, body, { ...headers, prefer: 'respond-async' }));
    await stage.sql(
      `update jobs set lease_token = gen_random_uuid(), lease_expires_at = now() + interval '1 hour', due_at = null,
              attempt = 1, called_at = now(), status_reason = 'sending' where id = $1`,
      [id],
    );
    await stage.sql(`update idempotency_keys set locked_until = now() + interval '1 hour' where job_id = $1`, [id]);
    return id;
  }

  async function expireLease(id: string): Promise<void> {
    await stage.sql(`update jobs set lease_expires_at = now() - interval '1 second' where id = $1`, [id]);
    await stage.sql(`update idempotency_keys set locked_until = now() - interval '1 second' where job_id = $1`, [id]);
  }

  it('should answer 409 while the lease lasts, then 202, then 201 once the job is found', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey() };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const id = await dead(team, body, headers);
    const made = await request(stage.simulator.url)
      .post(CREATE_VIDEO)
      .set({ authorization: `Token ${team.token}` })
      .send(body);
    expect((await post(second, team, body, headers)).status).toBe(409);
    await expireLease(id);
    const early = await post(second, team, body, headers);
    expect([early.status, idOf(early), early.headers['idempotency-replayed']]).toEqual([202, id, 'true']);
    await tick();
    const unconfirmed = await post(second, team, body, headers);
    expect([unconfirmed.status, unconfirmed.body.status]).toEqual([202, 'unconfirmed']);
    await eventually(
      async () => {
        await lookForUnknown();
        return stage.row(id);
      },
      ({ tensorpix_id }) => tensorpix_id !== null,
    );
    const bound = await post(second, team, body, headers);
    expect([bound.status, bound.body.tensorpix_id, bound.headers.location]).toEqual([
      201,
      made.body.id,
      `/v1/jobs/${id}`,
    ]);
    // One by the dead owner, as it were.
    expect(stage.creates(team)).toBe(1);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it('should answer another request with 422 before and after', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey() };
    const body = { video_url: sourceUrl(), ml_models: [1] };
    const id = await dead(team, body, headers);
    const other = { ...body, crf: 1 };
    expect((await post(second, team, other, headers)).status).toBe(422);
    await expireLease(id);
    expect((await post(second, team, other, headers)).status).toBe(422);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it('should not be taken over by the sweeper, nor pay a paid image twice', async () => {
    const team = await stage.team();
    const headers = { 'idempotency-key': newKey(), prefer: 'respond-async' };
    const id = idOf(await stage.image(team, { watermark: false }, headers));
    await stage.sql(
      `update jobs set lease_token = gen_random_uuid(), lease_expires_at = now() - interval '1 second', due_at = null,
              attempt = 1, called_at = now() where id = $1`,
      [id],
    );
    await tick();
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'outcome_unknown' } });
    const again = await stage.image(team, { watermark: false }, { 'idempotency-key': headers['idempotency-key'] });
    expect([again.status, again.body.code, again.body.job_id]).toEqual([504, 'upstream_timeout', id]);
    expect(again.headers.location).toBe(`/v1/images/${id}`);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(stage.calls(team, 'POST')).toEqual([]);
  });
});
