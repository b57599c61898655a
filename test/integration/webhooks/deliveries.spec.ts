import { describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import request, { type Response } from 'supertest';
import { ManualRetriesStore } from '../../../src/modules/webhooks/manual-retries.store.js';
import { eventually } from '../../support/gateway.js';
import type { ReceivedWebhook } from '../../support/receiver.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

const stage = useStage({
  env: { CALLBACK_RETRY_SCHEDULE_MS: '20,20', CALLBACK_TIMEOUT_MS: '30000' },
  simulator: { queueMs: 3_600_000 },
  hurry: true,
});

interface Attempt {
  manual: boolean;
  response_status: number | null;
  error_class: string | null;
  error: string | null;
  duration_ms: Record<string, number | null>;
  response_body: string | null;
  request_headers: Record<string, string>;
}

interface Delivery {
  id: string;
  type: string;
  status: string;
  attempt_count: number;
  last_error: string | null;
  body: string;
  attempts: Attempt[];
}

async function post(team: Team, path: string, body: object = {}): Promise<Response> {
  return request(stage.gateway.url).post(`/v1/webhook-deliveries${path}`).set(team.auth).send(body);
}

async function detail(team: Team, id: string): Promise<Delivery> {
  return (await stage.get(team, `/v1/webhook-deliveries/${id}`)).body as Delivery;
}

async function list(team: Team, query = ''): Promise<Delivery[]> {
  return ((await stage.get(team, `/v1/webhook-deliveries${query}`)).body as { data: Delivery[] }).data;
}

/** A job with one webhook; resolves once the webhook has got this far. */
async function delivery(team: Team, status: string): Promise<Delivery> {
  const id = idOf(await stage.video(team, stage.callback));
  const [row] = await eventually(
    () => list(team, `?job_id=${id}`),
    (found) => found[0]?.status === status,
  );
  return detail(team, row?.id ?? '');
}

function untilAttempts(team: Team, id: string, count: number): Promise<Delivery> {
  return eventually(
    () => detail(team, id),
    ({ attempts }) => attempts.length >= count,
  );
}

function receivedOf({ id }: { id: string }): ReceivedWebhook[] {
  return stage.receiver.received.filter(({ headers }) => headers['webhook-id'] === id);
}

function answers(respond: (response: ServerResponse) => void): void {
  stage.receiver.answer((_, response) => respond(response));
}

describe('the attempt log', () => {
  it('should have every attempt: what was sent, what came back, and how long each part took', async () => {
    const team = await stage.team();
    answers((response) => void response.writeHead(503, { 'content-type': 'text/plain' }).end('x'.repeat(5_000)));
    const made = await delivery(team, 'exhausted');
    expect(made.attempts).toHaveLength(3);
    expect(made).toMatchObject({ attempt_count: 3, last_error: 'http: the receiver answered 503' });
    for (const [i, attempt] of made.attempts.entries()) {
      expect(attempt).toMatchObject({
        manual: false,
        response_status: 503,
        error_class: 'http',
        error: 'the receiver answered 503',
        response_body: 'x'.repeat(2_048),
      });
      expect(attempt.duration_ms['total']).toBeGreaterThanOrEqual(attempt.duration_ms['first_byte'] ?? Infinity);
      const sent = receivedOf(made)[i];
      expect(attempt.request_headers).toMatchObject({
        'webhook-id': made.id,
        'webhook-timestamp': sent?.headers['webhook-timestamp'],
        'webhook-signature': sent?.headers['webhook-signature'],
        'content-type': 'application/json',
      });
      expect(sent?.body).toBe(made.body);
    }
  });

  it.each<[string, (response: ServerResponse) => void, string]>([
    ['a reset', (response) => void response.socket?.resetAndDestroy(), 'reset'],
    ['a redirect', (response) => void response.writeHead(302, { location: '/' }).end(), 'redirect'],
    ['no HTTP', (response) => void response.socket?.end('nonsense\r\n\r\n'), 'http'],
    [
      '100 kB of headers',
      (response) => void response.writeHead(200, { 'x-long': 'x'.repeat(100_000) }).end(),
      'too_large',
    ],
  ])('should name the class of what went wrong: %s', async (_, respond, errorClass) => {
    const team = await stage.team();
    answers(respond);
    const made = await delivery(team, 'exhausted');
    expect(made.attempts.map((attempt) => attempt.error_class)).toEqual([errorClass, errorClass, errorClass]);
    expect(made.last_error).toMatch(new RegExp(`^${errorClass}: `));
  });

  it('should keep what a receiver answers that no database can store', async () => {
    const team = await stage.team();
    answers((response) => void response.writeHead(500).end(Buffer.from([0, 0xff, 0xc3, 0x28, 0x41])));
    const made = await delivery(team, 'exhausted');
    expect(made.attempts[0]?.response_body).toMatch(/A$/);
    expect(made.attempts).toHaveLength(3);
  });

  it('should not decide whether delivery goes on', async () => {
    const team = await stage.team();
    await stage.sql('alter table webhook_attempts add constraint none check (false) not valid');
    try {
      const made = await delivery(team, 'delivered');
      expect(made.attempts).toEqual([]);
      expect(receivedOf(made)).toHaveLength(1);
    } finally {
      await stage.sql('alter table webhook_attempts drop constraint none');
    }
  });
});

describe('a manual retry', () => {
  it('should be made as often as it is asked for, with the same id and body', async () => {
    const team = await stage.team();
    const made = await delivery(team, 'delivered');
    const asked = await Promise.all([1, 2, 3].map(() => post(team, `/${made.id}/retry`)));
    expect(asked.map(({ status }) => status)).toEqual([202, 202, 202]);
    const after = await untilAttempts(team, made.id, 4);
    expect(after).toMatchObject({ status: 'delivered', attempt_count: 1 });
    expect(after.attempts.map(({ manual }) => manual)).toEqual([false, true, true, true]);
    const received = receivedOf(made);
    expect(received).toHaveLength(4);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
    const { secret } = (await stage.get(team, '/v1/webhook-secret')).body as { secret: string };
    for (const { body, headers } of received) new Webhook(secret).verify(body, headers as Record<string, string>);
  });

  it('should deliver what was given up, and leave it given up when it fails again', async () => {
    const team = await stage.team();
    answers((response) => void response.writeHead(500).end());
    const made = await delivery(team, 'exhausted');
    await post(team, `/${made.id}/retry`);
    expect(await untilAttempts(team, made.id, 4)).toMatchObject({ status: 'exhausted', attempt_count: 3 });
    answers((response) => void response.writeHead(204).end());
    await post(team, `/${made.id}/retry`);
    const after = await eventually(
      () => detail(team, made.id),
      ({ status }) => status === 'delivered',
    );
    expect(after).toMatchObject({ last_error: null, attempts: { length: 5 } });
  });

  it.each([
    ['gets the first one through', 204, 'delivered'],
    ['is refused for good', 410, 'exhausted'],
  ])('should let the later webhooks of the job go when it %s', async (_, answer, becomes) => {
    const team = await stage.team();
    answers((response) => void response.writeHead(503, { 'retry-after': '3600' }).end());
    const created = await stage.video(team, stage.callback);
    const id = idOf(created);
    const [first] = await eventually(
      () => list(team, `?job_id=${id}`),
      (found) => found[0]?.status === 'failing',
    );
    stage.simulator.control.changeJob(created.body.tensorpix_id as number, { status: 2 });
    await stage.makeLooksDue();
    await eventually(
      () => list(team, `?job_id=${id}`),
      (found) => found.length === 2,
    );
    stage.receiver.answer(({ headers }, response) => {
      response.writeHead(headers['webhook-id'] === first?.id ? answer : 204).end();
    });
    await post(team, `/${first?.id}/retry`);
    await eventually(
      () => list(team, `?job_id=${id}`),
      (found) => found.map(({ status }) => status).join() === `delivered,${becomes}`,
    );
  });

  it('should end it by a 410, whatever the scheduled attempt under way beside it comes to', async () => {
    const team = await stage.team();
    const open: ServerResponse[] = [];
    answers((response) => void open.push(response));
    const id = idOf(await stage.video(team, stage.callback));
    const untilOpen = (count: number) =>
      eventually(
        () => open.length,
        (length) => length === count,
      );
    await untilOpen(1);
    const [scheduled] = await list(team, `?job_id=${id}`);
    const webhook = scheduled?.id ?? '';
    await post(team, `/${webhook}/retry`);
    await untilOpen(2);
    open[1]?.writeHead(410).end();
    await untilAttempts(team, webhook, 1);
    answers((response) => void response.writeHead(204).end());
    open[0]?.writeHead(503).end();
    await untilAttempts(team, webhook, 2);
    expect(await detail(team, webhook)).toMatchObject({ status: 'exhausted' });
    expect(receivedOf({ id: webhook })).toHaveLength(2);
  });

  it('should not count as given up what was delivered before, whatever it comes to', async () => {
    const team = await stage.team();
    const made = await delivery(team, 'delivered');
    const before = await stage.metric('gateway_webhooks_given_up_total{reason="gone"}');
    answers((response) => void response.writeHead(410).end());
    await post(team, `/${made.id}/retry`);
    expect(await untilAttempts(team, made.id, 2)).toMatchObject({ status: 'delivered' });
    expect(await stage.metric('gateway_webhooks_given_up_total{reason="gone"}')).toBe(before);
  });

  it('should be refused with a field, as it takes none (contract, section 2)', async () => {
    const team = await stage.team();
    const made = await delivery(team, 'delivered');
    const refused = await post(team, `/${made.id}/retry`, { force: true });
    expect(refused.status).toBe(400);
    expect(Object.keys(refused.body.errors as object)).toEqual(['force']);
    expect((await detail(team, made.id)).attempts).toHaveLength(1);
  });

  it("should be 404 for another tenant's delivery", async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const made = await delivery(team, 'delivered');
    expect((await post(other, `/${made.id}/retry`)).status).toBe(404);
    expect((await stage.get(other, `/v1/webhook-deliveries/${made.id}`)).status).toBe(404);
    expect(await list(other)).toEqual([]);
  });
});

describe('a replay', () => {
  it('should send a range again, chosen by time, endpoint and status', async () => {
    const team = await stage.team();
    const since = new Date(Date.now() - 60_000).toISOString();
    answers((response) => void response.writeHead(500).end());
    const lost = [await delivery(team, 'exhausted'), await delivery(team, 'exhausted')];
    answers((response) => void response.writeHead(204).end());
    const delivered = await delivery(team, 'delivered');

    const replayed = await post(team, '/replay', { since, status: 'exhausted' });
    expect(replayed.status).toBe(202);
    expect(replayed.body).toEqual({ object: 'webhook_replay', replayed: 2, next_cursor: null });
    for (const { id } of lost)
      await eventually(
        () => detail(team, id),
        ({ status }) => status === 'delivered',
      );
    expect(receivedOf(delivered)).toHaveLength(1);

    expect((await post(team, '/replay', { since })).body.replayed).toBe(3);
    await untilAttempts(team, delivered.id, 2);
    expect((await post(team, '/replay', { since, until: since.replace('Z', '001Z') })).status).toBe(400);
    const nobody = '01900000-0000-7000-8000-000000000000';
    expect((await post(team, '/replay', { since, endpoint_id: nobody })).body.replayed).toBe(0);
    expect((await post(await stage.team(), '/replay', { since })).body.replayed).toBe(0);
  });

  it('should not wait for the claim of a manual attempt that is under way', async () => {
    const team = await stage.team();
    const made = await delivery(team, 'delivered');
    await stage.sql(
      `insert into webhook_queues (id, tenant_id, delivery_id, origin, due_at, lease_token)
       values (gen_random_uuid(), $1, $2, 'https://silent.example.com', now() + interval '1 hour', gen_random_uuid())`,
      [team.id, made.id],
    );
    const retries = stage.gateway.app.get(ManualRetriesStore, { strict: false });
    expect(await retries.findWaiting(team.id)).toEqual({ count: 1, pacedForMs: 0 });
  });

  it('should reach what fell due while an endpoint was paused', async () => {
    const team = await stage.team();
    const made = await request(stage.gateway.url)
      .post('/v1/webhook-endpoints')
      .set(team.auth)
      .send({ url: stage.receiver.url });
    const endpoint = made.body as { id: string };
    await request(stage.gateway.url)
      .patch(`/v1/webhook-endpoints/${endpoint.id}`)
      .set(team.auth)
      .send({ status: 'paused' });
    await stage.video(team);
    const since = new Date(Date.now() - 60_000).toISOString();
    const replayed = await post(team, '/replay', { since, endpoint_id: endpoint.id, status: 'pending' });
    expect(replayed.body).toMatchObject({ replayed: 1 });
    await eventually(
      () => list(team, `?endpoint_id=${endpoint.id}`),
      (found) => found[0]?.status === 'delivered',
    );
  });

  it.each<[string, object, string]>([
    ['no beginning', {}, 'since'],
    ['ten years', { since: '2016-11-20T09:00:00Z' }, 'since'],
    ['an end before the beginning', { since: '2026-11-20T09:00:00Z', until: '2026-11-19T09:00:00Z' }, 'until'],
    ['a beginning in the future', { since: '2999-01-01T00:00:00Z' }, 'since'],
    ['no time', { since: 'yesterday' }, 'since'],
    ['a day that no month has', { since: '2026-02-30T00:00:00Z' }, 'since'],
    ['an unknown status', { since: '2026-11-20T09:00:00Z', status: 'lost' }, 'status'],
    ['a cursor of its own making', { since: new Date(Date.now() - 1_000).toISOString(), cursor: 'a.b' }, 'cursor'],
  ])('should be refused with %s', async (_, body, field) => {
    const team = await stage.team();
    const answer = await post(team, '/replay', body);
    expect(answer.status).toBe(400);
    expect(Object.keys(answer.body.errors as object)).toEqual([field]);
  });
});

describe('the list of deliveries', () => {
  it('should be filtered and paged, newest first', async () => {
    const team = await stage.team();
    answers((response) => void response.writeHead(500).end());
    const lost = await delivery(team, 'exhausted');
    answers((response) => void response.writeHead(204).end());
    const made = [await delivery(team, 'delivered'), await delivery(team, 'delivered')];
    expect((await list(team)).map(({ id }) => id)).toEqual([made[1]?.id, made[0]?.id, lost.id]);
    expect((await list(team, '?status=exhausted')).map(({ id }) => id)).toEqual([lost.id]);
    expect((await list(team, '?status=delivered')).map(({ id }) => id)).toEqual([made[1]?.id, made[0]?.id]);
    const first = (await stage.get(team, '/v1/webhook-deliveries?limit=2')).body as { next_cursor: string };
    const second = await stage.get(team, `/v1/webhook-deliveries?limit=2&cursor=${first.next_cursor}`);
    expect(second.body).toMatchObject({ data: [{ id: lost.id }], next_cursor: null });
    expect((await stage.get(team, '/v1/webhook-deliveries?job_id=nonsense')).status).toBe(400);
    expect((await stage.get(team, '/v1/webhook-deliveries?status=lost')).status).toBe(400);
  });
});

describe('verify', () => {
  it('should say that a webhook is right, and whose secret signed it', async () => {
    const team = await stage.team();
    const made = await delivery(team, 'delivered');
    const [webhook] = receivedOf(made);
    const { status, body } = await post(team, '/verify', { headers: webhook?.headers, body: webhook?.body });
    expect(status).toBe(200);
    expect(body).toMatchObject({ object: 'webhook_diagnosis', valid: true, signed_by: 'callback_url' });
  });

  it.each<[string, (webhook: ReceivedWebhook) => { headers?: object; body?: string; secret?: string }, string]>([
    ['a body that was written anew', ({ json }) => ({ body: JSON.stringify(json, null, 2) }), 'body'],
    ['a wrong secret', () => ({ secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}` }), 'secret'],
    ['a secret that is empty', () => ({ secret: '' }), 'secret'],
    [
      'an old timestamp',
      ({ headers }) => ({ headers: { ...headers, 'webhook-timestamp': '1700000000' } }),
      'timestamp',
    ],
    ['no signature', ({ headers }) => ({ headers: { ...headers, 'webhook-signature': undefined } }), 'headers'],
    ['no base64', ({ headers }) => ({ headers: { ...headers, 'webhook-signature': 'v1,???' } }), 'signature_format'],
  ])('should name the check that fails: %s', async (_, change, check) => {
    const team = await stage.team();
    const made = await delivery(team, 'delivered');
    const webhook = receivedOf(made)[0] as ReceivedWebhook;
    const answer = await post(team, '/verify', { headers: webhook.headers, body: webhook.body, ...change(webhook) });
    expect(answer.status).toBe(200);
    const { valid, checks } = answer.body as { valid: boolean; checks: { name: string; ok: boolean | null }[] };
    expect(checks.find(({ name }) => name === check)?.ok).toBe(false);
    if (check !== 'secret') expect(valid).toBe(false);
  });

  it('should refuse headers that are longer than any webhook has, by their name', async () => {
    const headers = { HTTP_WEBHOOK_ID: 'x'.repeat(4_097), cookie: 'y'.repeat(10_000) };
    const answer = await post(await stage.team(), '/verify', { headers, body: '{}' });
    expect([answer.status, answer.body.errors]).toEqual([
      400,
      { headers: ['must have at most 4096 characters in webhook-id'] },
    ]);
  });
});
