import { describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import type { Fault } from '../../../simulator/faults.js';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import { CREATE_IMAGE, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const stage = useStage({ env: { TENSORPIX_TIMEOUT_MS: '2000', RECONCILE_GRACE_MS: '400' } });
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };
let keys = 0;

/** A request that can be sent again and again with its key. */
function keyed(team: Team, fields: object = {}, headers: Record<string, string> = {}): () => Promise<Response> {
  const [key, url] = [`key-${(keys += 1)}`, sourceUrl()];
  return () => stage.video(team, { video_url: url, ...fields }, { 'idempotency-key': key, ...headers });
}

function keyedImage(team: Team, fields: object = {}, headers: Record<string, string> = {}): () => Promise<Response> {
  const key = `key-${(keys += 1)}`;
  return () => stage.image(team, fields, { 'idempotency-key': key, ...headers });
}

function imageFault(team: Team, fault: Fault, times = 1): void {
  stage.fault(team, fault, { times, match: { method: 'POST', path: CREATE_IMAGE, token: team.token } });
}

function images(team: Team): number {
  return stage.calls(team, 'POST', CREATE_IMAGE).length;
}

/** The same answer, marked as given before; only the request's own id is new. */
function expectReplay(again: Response, first: Response): void {
  expect([again.status, again.text]).toEqual([first.status, first.text]);
  expect(again.headers['idempotency-replayed']).toBe('true');
  expect(first.headers['idempotency-replayed']).toBeUndefined();
  for (const name of ['location', 'content-type', 'retry-after'])
    expect([name, again.headers[name]]).toEqual([name, first.headers[name]]);
  expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
}

/** A problem that no answer was stored of. */
function expectProblemOfRow({ headers, body }: Response, location: string): void {
  expect(headers['content-type']).toContain('application/problem+json');
  expect([headers.location, headers['idempotency-replayed']]).toEqual([location, 'true']);
  expect(body.request_id).toBe(headers['x-request-id']);
}

async function keysOf(team: Team) {
  return stage.sql('select * from idempotency_keys where tenant_id = $1', [team.id]);
}

describe('the answer of a create, given again', () => {
  it('should be the 201 as it was, although the job has ended since', async () => {
    const team = await stage.team();
    const send = keyed(team, stage.callback);
    const first = await send();
    expect(first.status).toBe(201);
    await stage.untilWebhooks(idOf(first), ['job.queued', 'job.finished']);
    expectReplay(await send(), first);
    expect(stage.creates(team)).toBe(1);
    await stage.untilWebhooks(idOf(first), ['job.queued', 'job.finished']);
  });

  it('should be the 201 of a job that was canceled since', async () => {
    const team = await stage.team();
    const send = keyed(team, { video_url: sourceUrl('sim-stick') });
    const first = await send();
    await request(stage.gateway.url)
      .post(`/v1/jobs/${idOf(first)}/cancel`)
      .set(team.auth)
      .expect(200);
    expectReplay(await send(), first);
  });

  it("should be TensorPix's 400 about the request, which is not asked again", async () => {
    const team = await stage.team();
    const send = keyed(team, { ...stage.callback, video_url: sourceUrl('not-a-video') });
    const first = await send();
    expect([first.status, first.body.code, first.body.job_id]).toEqual([400, 'validation_failed', expect.any(String)]);
    expectReplay(await send(), first);
    expect(stage.creates(team)).toBe(1);
    expect(await stage.deliveries(idOf(first))).toEqual([]);
  });

  it('should be a 400 with characters that are hard to store', async () => {
    const team = await stage.team();
    const errors = { video_url: ['nul \u0000, emoji 😀, "quotes", \\ and é'] };
    stage.fault(team, { kind: 'body', status: 400, body: { errors, non_field_errors: ['x'.repeat(3_000)] } });
    const send = keyed(team);
    const first = await send();
    expect(first.status).toBe(400);
    expectReplay(await send(), first);
  });

  it('should be the 201 although its presigned URL has expired since', async () => {
    const team = await stage.team();
    const expires = Math.floor(Date.now() / 1_000) + 4;
    const send = keyed(team, { video_url: `${sourceUrl()}?Expires=${expires}&Signature=s` });
    const first = await send();
    expect(first.status).toBe(201);
    await eventually(Date.now, (now) => now > expires * 1_000);
    const other = { video_url: `${sourceUrl()}?Expires=${expires}&Signature=s` };
    expect((await stage.video(team, other)).status).toBe(400);
    expectReplay(await send(), first);
    expect(stage.creates(team)).toBe(1);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it('should be the 201 of an image, which is charged once', async () => {
    const team = await stage.team();
    const send = keyedImage(team, { watermark: false, callback_url: stage.receiver.url });
    const first = await send();
    expect([first.status, first.body.status]).toEqual([201, 'finished']);
    await stage.untilWebhooks(idOf(first), ['image.finished']);
    expectReplay(await send(), first);
    expect(images(team)).toBe(1);
  });
});

describe('the 202 of a create, given again', () => {
  it.each([
    ['respond-async', { prefer: 'respond-async' }],
    ['wait=0', { prefer: 'wait=0' }],
  ])('should be 202, then 201 as the job is then: %s', async (_, headers) => {
    const team = await stage.team();
    const answer = stage.hold(team);
    const send = keyed(team, {}, headers);
    const first = await send();
    expect(first.status).toBe(202);
    const again = await send();
    expect([again.status, idOf(again), again.headers['idempotency-replayed']]).toEqual([202, idOf(first), 'true']);
    expect(again.headers.location).toBe(`/v1/jobs/${idOf(first)}`);
    answer.arrive();
    await stage.untilRow(idOf(first), ({ status }) => status === 'finished');
    const last = await send();
    expect([last.status, last.body.status, last.headers['idempotency-replayed']]).toEqual([201, 'finished', 'true']);
    expect(stage.creates(team)).toBe(1);
  });

  it('should be 202 while the job is parked, and 201 when it was sent', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 60 }, { times: 1 });
    const send = keyed(team);
    const first = await send();
    expect([first.status, first.body.status_reason]).toEqual([202, 'rate_limited']);
    const again = await send();
    expect([again.status, again.body.status_reason, idOf(again)]).toEqual([202, 'rate_limited', idOf(first)]);
    expect(stage.creates(team)).toBe(1);
    await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
    await stage.makeDue(idOf(first));
    await stage.untilRow(idOf(first), ({ tensorpix_id }) => tensorpix_id !== null);
    expect((await send()).status).toBe(201);
    expect(stage.creates(team)).toBe(2);
  });

  it('should show the refusal that came after it, and not make another job', async () => {
    const team = await stage.team();
    const send = keyed(team, { video_url: sourceUrl('not-a-video') }, { prefer: 'respond-async' });
    const first = await send();
    await stage.untilRow(idOf(first), ({ status }) => status === 'failed');
    const again = await send();
    expect([again.status, again.body.code, again.body.job_id]).toEqual([400, 'validation_failed', idOf(first)]);
    expect(Object.keys(again.body.errors)).toEqual(['video_url']);
    expectProblemOfRow(again, `/v1/jobs/${idOf(first)}`);
    expect(stage.creates(team)).toBe(1);
  });

  it('should be 202 while the outcome is unknown, and 201 when the job was adopted', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$', token: team.token } });
    stage.fault(team, 'no_answer_after_commit', { times: 1 });
    const send = keyed(team);
    const first = await send();
    expect([first.status, first.body.status]).toEqual([202, 'unconfirmed']);
    const again = await send();
    expect([again.status, idOf(again), again.body.status]).toEqual([202, idOf(first), 'unconfirmed']);
    stage.simulator.control.clearFaults();
    await stage.untilRow(idOf(first), ({ tensorpix_id }) => tensorpix_id !== null);
    const bound = await send();
    expect([bound.status, idOf(bound)]).toEqual([201, idOf(first)]);
    expect(stage.creates(team)).toBe(1);
  });
});

describe('an unknown outcome under handling=strict', () => {
  it('should keep its key: 202 while unconfirmed, 201 after adoption', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$', token: team.token } });
    stage.fault(team, 'no_answer_after_commit', { times: 1 });
    const send = keyed(team, {}, { prefer: 'handling=strict' });
    const first = await send();
    expect([first.status, first.body.code]).toEqual([504, 'upstream_timeout']);
    const again = await send();
    expect([again.status, idOf(again), again.headers['idempotency-replayed']]).toEqual([202, idOf(first), 'true']);
    stage.simulator.control.clearFaults();
    await stage.untilRow(idOf(first), ({ tensorpix_id }) => tensorpix_id !== null);
    const bound = await send();
    expect([bound.status, idOf(bound)]).toEqual([201, idOf(first)]);
    expect(stage.creates(team)).toBe(1);
  });

  it('should say 422 to another request with its key', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$', token: team.token } });
    stage.fault(team, 'no_answer', { times: 1 });
    const headers = { 'idempotency-key': 'strict-and-other', prefer: 'handling=strict' };
    const url = sourceUrl();
    expect((await stage.video(team, { video_url: url }, headers)).status).toBe(504);
    expect((await stage.video(team, { video_url: url, crf: 9 }, headers)).status).toBe(422);
  });

  it('should answer with the job, never a second one, when the job is not at TensorPix', async () => {
    const team = await stage.team();
    stage.fault(team, 'no_answer', { times: 1 });
    const send = keyed(team, {}, { prefer: 'handling=strict' });
    const first = await send();
    await stage.untilRow(idOf(first), ({ status_reason }) => status_reason === 'outcome_unknown');
    const again = await send();
    expect([again.status, idOf(again), again.body.status]).toEqual([202, idOf(first), 'unconfirmed']);
    expect(stage.creates(team)).toBe(1);
  });
});

const FREEING: [string, Fault, number, Record<string, string>][] = [
  ['402', { kind: 'payment_required' }, 402, {}],
  ['400 about credits', { kind: 'no_credits_400' }, 402, {}],
  ['400 about storage', { kind: 'storage_400' }, 400, {}],
  ['403', { kind: 'forbidden' }, 403, {}],
  ['401', { kind: 'unauthorized' }, 502, {}],
  ['429 under handling=strict', { kind: 'rate_limited', retry_after_s: 1 }, 429, { prefer: 'handling=strict' }],
  ['404', { kind: 'body', status: 404, body: { detail: 'Not found.' } }, 502, {}],
];

describe('an answer about the account or the load', () => {
  it.each(FREEING)('should free the key of a job: %s', async (_, fault, status, headers) => {
    const team = await stage.team();
    stage.fault(team, fault, { times: 1 });
    const send = keyed(team, {}, headers);
    const refused = await send();
    expect([refused.status, refused.headers['idempotency-replayed']]).toEqual([status, undefined]);
    expect(await keysOf(team)).toEqual([]);
    const created = await send();
    expect([created.status, created.headers['idempotency-replayed']]).toEqual([201, undefined]);
    expect(idOf(created)).not.toBe(idOf(refused));
    expect(stage.creates(team)).toBe(2);
    expect((await stage.get(team, `/v1/jobs/${idOf(refused)}`)).body.status).toBe('failed');
    expectReplay(await send(), created);
  });

  it.each([
    ['402', { kind: 'payment_required' }, 402, {}],
    ['429 under handling=strict', { kind: 'rate_limited', retry_after_s: 1 }, 429, { prefer: 'handling=strict' }],
    ['a free image without an answer, strict', { kind: 'no_answer' }, 504, { prefer: 'handling=strict' }],
    ['a free image that failed, strict', { kind: 'server_error' }, 502, { prefer: 'handling=strict' }],
  ] as [string, Fault, number, Record<string, string>][])(
    'should free the key of an image: %s',
    async (_, fault, status, headers) => {
      const team = await stage.team();
      imageFault(team, fault);
      const send = keyedImage(team, {}, headers);
      expect((await send()).status).toBe(status);
      const created = await send();
      expect([created.status, created.headers['idempotency-replayed']]).toEqual([201, undefined]);
      expect(images(team)).toBe(2);
    },
  );

  it('should free the key for another request too', async () => {
    const team = await stage.team();
    stage.fault(team, 'payment_required', { times: 1 });
    const headers = { 'idempotency-key': 'free-for-others' };
    expect((await stage.video(team, {}, headers)).status).toBe(402);
    expect((await stage.video(team, { crf: 5 }, headers)).status).toBe(201);
  });

  it('should not free the key of a job whose caller was answered 202 before', async () => {
    const team = await stage.team();
    stage.simulator.state.options.latencyMs = 400;
    stage.fault(team, 'payment_required', { times: 1 });
    const send = keyed(team, {}, { prefer: 'wait=0' });
    const first = await send();
    expect(first.status).toBe(202);
    await stage.untilRow(idOf(first), ({ status }) => status === 'failed');
    stage.simulator.state.options.latencyMs = 0;
    const again = await send();
    expect([again.status, idOf(again), again.body.status]).toEqual([202, idOf(first), 'failed']);
  });
});

describe('a paid image whose outcome is unknown', () => {
  it.each([
    ['no answer', { kind: 'no_answer_after_commit' }],
    ['reset', { kind: 'reset_after_commit' }],
    ['500', { kind: 'error_after_commit' }],
    ['HTML', { kind: 'garbage', body: '<html>' }],
  ] as [string, Fault][])('should be 504 again and again, and never be charged twice: %s', async (_, fault) => {
    const team = await stage.team();
    imageFault(team, fault);
    const send = keyedImage(team, { watermark: false });
    const first = await send();
    expect([first.status, first.body.code]).toEqual([504, 'upstream_timeout']);
    for (let times = 0; times < 3; times += 1) expectReplay(await send(), first);
    expect(images(team)).toBe(1);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it.each(['respond-async', 'wait=0'])(
    'should be 504 too when its caller was answered 202 before: %s',
    async (prefer) => {
      const team = await stage.team();
      const answer = stage.hold(team, { path: CREATE_IMAGE }, { kind: 'error_after_commit' });
      const send = keyedImage(team, { watermark: false }, { prefer });
      const first = await send();
      expect(first.status).toBe(202);
      await answer.untilHeld();
      answer.arrive();
      const { error } = await stage.untilRow(idOf(first), ({ status }) => status === 'failed');
      const again = await send();
      expect([again.status, again.body.code, again.body.job_id]).toEqual([504, 'upstream_timeout', idOf(first)]);
      expect(again.body.detail).toBe(error?.detail);
      expectProblemOfRow(again, `/v1/images/${idOf(first)}`);
      expect(images(team)).toBe(1);
    },
  );
});

describe('a job that ended after its caller was answered 202', () => {
  it('should be shown as it is when it was canceled before it was sent', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 60 }, { times: 1 });
    const send = keyed(team);
    const first = await send();
    await request(stage.gateway.url)
      .post(`/v1/jobs/${idOf(first)}/cancel`)
      .set(team.auth)
      .expect(200);
    const again = await send();
    expect([again.status, idOf(again), again.body.status]).toEqual([202, idOf(first), 'canceled']);
    expect(stage.creates(team)).toBe(1);
  });
});

describe('a tenant that changes between two requests with one key', () => {
  async function patch(team: Team, body: object): Promise<void> {
    await request(stage.gateway.url).patch(`/v1/tenants/${team.id}`).set(ADMIN).send(body).expect(200);
  }

  it('should get its answer again after it was suspended and active again', async () => {
    const team = await stage.team();
    const send = keyed(team);
    const first = await send();
    await patch(team, { status: 'suspended' });
    expect((await send()).status).toBe(403);
    await patch(team, { status: 'active' });
    expectReplay(await send(), first);
  });

  it('should get its answer again with a token of another account', async () => {
    const team = await stage.team();
    const send = keyed(team);
    const first = await send();
    await stage.untilRow(idOf(first), ({ status }) => status === 'finished');
    await patch(team, { tensorpix_token: `another-account-${team.token}` });
    expectReplay(await send(), first);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it('should get 401 when it was deleted', async () => {
    const team = await stage.team();
    const send = keyed(team);
    await stage.untilRow(idOf(await send()), ({ status }) => status === 'finished');
    await request(stage.gateway.url).delete(`/v1/tenants/${team.id}`).set(ADMIN).expect(204);
    expect((await send()).status).toBe(401);
  });
});
