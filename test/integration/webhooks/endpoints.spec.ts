import { describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import request, { type Response } from 'supertest';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import type { ReceivedWebhook } from '../../support/receiver.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

const stage = useStage({
  env: { CALLBACK_RETRY_SCHEDULE_MS: '20,20,20', CALLBACK_TIMEOUT_MS: '30000' },
  simulator: { queueMs: 3_600_000 },
});
let paths = 0;

interface Endpoint {
  id: string;
  secret: string;
  path: string;
}

async function create(team: Team, fields: object = {}): Promise<Response> {
  return request(stage.gateway.url).post('/v1/webhook-endpoints').set(team.auth).send(fields);
}

/** An endpoint at the receiver, with a path that no other has. */
async function endpoint(team: Team, fields: object = {}): Promise<Endpoint> {
  const path = `/endpoint-${(paths += 1)}`;
  const created = await create(team, { url: stage.receiver.url + path, ...fields });
  expect(created.status).toBe(201);
  return { ...(created.body as { id: string; secret: string }), path };
}

async function patch(team: Team, id: string, fields: object): Promise<Response> {
  return request(stage.gateway.url).patch(`/v1/webhook-endpoints/${id}`).set(team.auth).send(fields);
}

async function post(team: Team, path: string, body: object = {}): Promise<Response> {
  return request(stage.gateway.url).post(path).set(team.auth).send(body);
}

function receivedAt(path: string): ReceivedWebhook[] {
  return stage.receiver.received.filter((webhook) => webhook.path === path);
}

function untilReceived(path: string, count: number): Promise<ReceivedWebhook[]> {
  return eventually(
    () => receivedAt(path),
    (list) => list.length >= count,
  );
}

async function deliveriesTo({ id }: Endpoint, team: Team): Promise<{ id: string; type: string; status: string }[]> {
  const { body } = await stage.get(team, `/v1/webhook-deliveries?endpoint_id=${id}`);
  return (body as { data: { id: string; type: string; status: string }[] }).data;
}

function untilDeliveries(to: Endpoint, team: Team, states: string[]): Promise<unknown> {
  return eventually(
    async () => (await deliveriesTo(to, team)).map(({ status }) => status),
    (found) => JSON.stringify(found) === JSON.stringify(states),
  );
}

/** Answers those that come to this path with a status, all others with 204. */
function answerAt(path: string, status: number): void {
  stage.receiver.answer((webhook, response) => void response.writeHead(webhook.path === path ? status : 204).end());
}

/** A webhook to the endpoint that it wants in an hour. */
async function failUntilLater(team: Team, { path, ...standing }: Endpoint): Promise<void> {
  stage.receiver.answer((webhook, response) => {
    if (webhook.path === path) response.writeHead(503, { 'retry-after': '3600' }).end();
    else response.writeHead(204).end();
  });
  await stage.video(team);
  await untilDeliveries({ path, ...standing }, team, ['failing']);
}

/** Webhooks that were given up so far, by reason. */
async function givenUp(): Promise<{ retries_used_up: number; endpoint_deleted: number }> {
  const of = (reason: string) => stage.metric(`gateway_webhooks_given_up_total{reason="${reason}"}`);
  return { retries_used_up: await of('retries_used_up'), endpoint_deleted: await of('endpoint_deleted') };
}

function verify(secret: string, webhook: ReceivedWebhook | undefined): void {
  new Webhook(secret).verify(webhook?.body ?? '', webhook?.headers as Record<string, string>);
}

describe('a standing endpoint', () => {
  it('should get the webhooks of every job and image, signed with its own secret', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    const job = idOf(await stage.video(team));
    const image = idOf(await stage.image(team));
    const received = await untilReceived(standing.path, 2);
    expect(received.map(({ json }) => `${json.type} ${json.data.id}`).sort()).toEqual(
      [`image.finished ${image}`, `job.queued ${job}`].sort(),
    );
    for (const webhook of received) verify(standing.secret, webhook);
    const { secret } = (await stage.get(team, '/v1/webhook-secret')).body as { secret: string };
    expect(() => verify(secret, received[0])).toThrow();
  });

  it('should get what it asks for and nothing else, beside the callback_url of the job', async () => {
    const team = await stage.team();
    const [queued, finished] = [
      await endpoint(team, { events: ['job.queued'] }),
      await endpoint(team, { events: ['job.finished', 'image.failed'] }),
    ];
    const id = idOf(await stage.video(team, stage.callback));
    await untilReceived(queued.path, 1);
    await stage.untilWebhooks(id, ['job.queued', 'job.queued']);
    expect(receivedAt(finished.path)).toEqual([]);
    const ids = stage.receiver.received
      .filter(({ json }) => json.data.id === id)
      .map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(2);
    await stage.untilDelivered(id);
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.callback).toMatchObject({ state: 'delivered', attempts: 1 });
  });

  it("should get nothing of another tenant's", async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const standing = await endpoint(team);
    const mine = await endpoint(other);
    await stage.video(other);
    await untilReceived(mine.path, 1);
    expect(receivedAt(standing.path)).toEqual([]);
    for (const path of ['', '/rotate-secret', '/test']) {
      const answer =
        path === ''
          ? await stage.get(other, `/v1/webhook-endpoints/${standing.id}`)
          : await post(other, `/v1/webhook-endpoints/${standing.id}${path}`);
      expect(answer.status).toBe(404);
    }
    expect((await patch(other, standing.id, { status: 'paused' })).status).toBe(404);
  });

  it('should be sent its own headers, which the attempt log hides', async () => {
    const team = await stage.team();
    const headers = { 'X-Api-Key': 'open-sesame', 'x-environment': 'test' };
    const standing = await endpoint(team, { headers, events: ['job.queued'] });
    await stage.video(team);
    const [webhook] = await untilReceived(standing.path, 1);
    expect(webhook?.headers).toMatchObject({ 'x-api-key': 'open-sesame', 'x-environment': 'test' });
    expect((await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).body.headers).toEqual(headers);
    await untilDeliveries(standing, team, ['delivered']);
    const [delivery] = await deliveriesTo(standing, team);
    const detail = await stage.get(team, `/v1/webhook-deliveries/${delivery?.id}`);
    expect(detail.text).not.toContain('open-sesame');
    expect(detail.body.attempts[0].request_headers).toMatchObject({
      'X-Api-Key': '[hidden]',
      'webhook-signature': webhook?.headers['webhook-signature'],
    });
    const rows = await stage.sql<{ text: string }>(
      `select concat(e::text) as text from webhook_endpoints e where id = $1`,
      [standing.id],
    );
    expect(rows[0]?.text).not.toContain('open-sesame');
  });

  it('should be read, listed, changed and deleted', async () => {
    const team = await stage.team();
    const standing = await endpoint(team, { description: 'first' });
    const second = await endpoint(team);
    const list = (await stage.get(team, '/v1/webhook-endpoints?limit=1')).body as {
      data: { id: string; secret?: string }[];
      next_cursor: string;
    };
    expect(list.data.map(({ id }) => id)).toEqual([second.id]);
    expect(list.data[0]).not.toHaveProperty('secret');
    const rest = await stage.get(team, `/v1/webhook-endpoints?limit=1&cursor=${list.next_cursor}`);
    expect(rest.body).toMatchObject({ data: [{ id: standing.id, description: 'first' }], next_cursor: null });
    const changed = await patch(team, standing.id, { description: 'changed', events: ['job.failed'], headers: null });
    expect(changed.body).toMatchObject({
      description: 'changed',
      events: ['job.failed'],
      headers: {},
      status: 'enabled',
    });
    const gone = await request(stage.gateway.url).delete(`/v1/webhook-endpoints/${standing.id}`).set(team.auth);
    expect(gone.status).toBe(204);
    expect((await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).status).toBe(404);
    expect(await stage.sql('select 1 from webhook_secrets where endpoint_id = $1', [standing.id])).toEqual([]);
  });

  it.each<[string, object, string]>([
    ['no URL', {}, 'url'],
    ['credentials', { url: 'https://user:pass@hooks.example.com/' }, 'url'],
    ['a fragment', { url: 'https://hooks.example.com/#a' }, 'url'],
    ['a forbidden address', { url: 'http://169.254.169.254/' }, 'url'],
    ['a forbidden address in hex', { url: 'http://0xa9fea9fe/' }, 'url'],
    ['a reserved port', { url: 'https://hooks.example.com:25/' }, 'url'],
    ['2,049 characters', { url: `https://hooks.example.com/${'x'.repeat(2_023)}` }, 'url'],
    ['an unknown event', { url: 'https://hooks.example.com/', events: ['job.exploded'] }, 'events'],
    ['no event', { url: 'https://hooks.example.com/', events: [] }, 'events'],
    ['a reserved header', { url: 'https://hooks.example.com/', headers: { 'Webhook-Id': '1' } }, 'headers'],
    [
      'a reserved header, as CGI would name it',
      { url: 'https://hooks.example.com/', headers: { webhook_id: '1' } },
      'headers',
    ],
    [
      'a header of HTTP, as CGI would name it',
      { url: 'https://hooks.example.com/', headers: { Content_Type: 'a' } },
      'headers',
    ],
    [
      'a header of proxies, as CGI would name it',
      { url: 'https://hooks.example.com/', headers: { 'X-Forwarded_For': 'a' } },
      'headers',
    ],
    ['a header of HTTP', { url: 'https://hooks.example.com/', headers: { Host: 'a' } }, 'headers'],
    ['a line break', { url: 'https://hooks.example.com/', headers: { a: 'b\r\nc: d' } }, 'headers'],
    ['a line break in a name', { url: 'https://hooks.example.com/', headers: { 'a\n': 'b' } }, 'headers'],
    [
      '21 headers',
      {
        url: 'https://hooks.example.com/',
        headers: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`h${i}`, ''])),
      },
      'headers',
    ],
    ['an unknown field', { url: 'https://hooks.example.com/', secret: 'whsec_x' }, 'secret'],
  ])('should be refused with %s', async (_, fields, field) => {
    const team = await stage.team();
    const answer = await create(team, fields);
    expect(answer.status).toBe(400);
    expect(Object.keys(answer.body.errors as object)).toEqual([field]);
    expect((await stage.get(team, '/v1/webhook-endpoints')).body.data).toEqual([]);
  });

  it('should not be there without its secret', async () => {
    const team = await stage.team();
    await stage.sql('alter table webhook_secrets add constraint none check (false) not valid');
    try {
      expect((await create(team, { url: stage.receiver.url })).status).toBeGreaterThanOrEqual(500);
    } finally {
      await stage.sql('alter table webhook_secrets drop constraint none');
    }
    expect((await stage.get(team, '/v1/webhook-endpoints')).body.data).toEqual([]);
  });

  it('should be the same receiver with a dot behind its host, which means nothing', async () => {
    const team = await stage.team();
    const url = stage.receiver.url.replace('127.0.0.1', 'localhost.');
    const created = await create(team, { url });
    expect(created.body.url).toBe(url);
    const rows = await stage.sql('select origin from webhook_endpoints where id = $1', [created.body.id]);
    expect(rows).toEqual([{ origin: url.replace('localhost.', 'localhost') }]);
  });

  it('should need the right scope', async () => {
    const team = await stage.team();
    const made = await request(stage.gateway.url)
      .post(`/v1/tenants/${team.id}/api-keys`)
      .set({ authorization: `Bearer ${ADMIN_KEY}` })
      .send({ name: 'reader', scopes: ['webhooks:read'] });
    const reader = { authorization: `Bearer ${made.body.key}` };
    const answer = await request(stage.gateway.url)
      .post('/v1/webhook-endpoints')
      .set(reader)
      .send({ url: stage.receiver.url });
    expect(answer.status).toBe(403);
    expect((await request(stage.gateway.url).get('/v1/webhook-endpoints').set(reader)).status).toBe(200);
  });
});

describe('a rotated secret of an endpoint', () => {
  it('should sign first, and the old one along until its overlap is over', async () => {
    const team = await stage.team();
    const standing = await endpoint(team, { events: ['job.queued'] });
    const rotated = await post(team, `/v1/webhook-endpoints/${standing.id}/rotate-secret`, { overlap_seconds: 600 });
    expect(rotated.status).toBe(200);
    const { secret } = rotated.body as { secret: string };
    await stage.video(team);
    const [webhook] = await untilReceived(standing.path, 1);
    verify(secret, webhook);
    verify(standing.secret, webhook);
    const [first] = String(webhook?.headers['webhook-signature']).split(' ');
    verify(secret, webhook && { ...webhook, headers: { ...webhook.headers, 'webhook-signature': first } });
    const at = await post(team, `/v1/webhook-endpoints/${standing.id}/rotate-secret`, { overlap_seconds: 0 });
    await stage.video(team);
    const [, later] = await untilReceived(standing.path, 2);
    verify((at.body as { secret: string }).secret, later);
    expect(() => verify(secret, later)).toThrow();
    expect(() => verify(standing.secret, later) as unknown).not.toThrow();
  });
});

describe('an endpoint that takes nothing', () => {
  it.each(['paused', 'disabled'])(
    'should get what was kept, in order, once it is enabled again: %s',
    async (status) => {
      const team = await stage.team();
      const standing = await endpoint(team);
      expect((await patch(team, standing.id, { status })).body).toMatchObject({ status });
      const created = await stage.video(team);
      await untilDeliveries(standing, team, ['pending']);
      stage.simulator.control.changeJob(created.body.tensorpix_id as number, { status: 2 });
      await stage.makeLooksDue();
      await untilDeliveries(standing, team, ['pending', 'pending']);
      expect(receivedAt(standing.path)).toEqual([]);
      expect((await patch(team, standing.id, { status: 'enabled' })).body).toMatchObject({ status: 'enabled' });
      const received = await untilReceived(standing.path, 2);
      expect(received.map(({ json }) => json.type)).toEqual(['job.queued', 'job.finished']);
    },
  );

  it('should be disabled by a 410, which the others are told', async () => {
    const team = await stage.team();
    const [standing, other] = [await endpoint(team), await endpoint(team, { events: ['endpoint.disabled'] })];
    answerAt(standing.path, 410);
    await stage.video(team);
    const [told] = await untilReceived(other.path, 1);
    expect(told?.json).toMatchObject({
      type: 'endpoint.disabled',
      data: { id: standing.id, object: 'webhook_endpoint', status: 'disabled', status_reason: 'gone' },
    });
    verify(other.secret, told);
    expect((await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).body).toMatchObject({
      status: 'disabled',
      status_reason: 'gone',
    });
    await stage.video(team);
    await untilDeliveries(standing, team, ['pending', 'exhausted']);
    expect(receivedAt(standing.path)).toHaveLength(1);
  });

  it('should be disabled when nothing has got through for five days', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    answerAt(standing.path, 500);
    await stage.video(team);
    const failing = await eventually(
      async () =>
        (await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).body as { failing_since: string | null },
      ({ failing_since: since }) => since !== null,
    );
    expect(failing).toMatchObject({ status: 'enabled', failing_since: expect.any(String) });
    await untilDeliveries(standing, team, ['exhausted']);
    await stage.sql(`update webhook_endpoints set failing_since = now() - interval '6 days' where id = $1`, [
      standing.id,
    ]);
    await stage.video(team);
    await eventually(
      async () => (await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).body as { status: string },
      ({ status }) => status === 'disabled',
    );
    const enabled = await patch(team, standing.id, { status: 'enabled' });
    expect(enabled.body).toMatchObject({ status: 'enabled', status_reason: null, failing_since: null });
  });

  it('should not be disabled by a failure after days without an attempt', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    answerAt(standing.path, 500);
    await post(team, `/v1/webhook-endpoints/${standing.id}/test`);
    await untilDeliveries(standing, team, ['exhausted']);
    await stage.sql(
      `update webhook_endpoints set failing_since = now() - interval '6 days', failed_at = now() - interval '6 days'
        where id = $1`,
      [standing.id],
    );
    await stage.video(team);
    await untilDeliveries(standing, team, ['exhausted', 'exhausted']);
    const { status, failing_since: since } = (await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).body as {
      status: string;
      failing_since: string;
    };
    expect(status).toBe('enabled');
    expect(Date.now() - Date.parse(since)).toBeLessThan(86_400_000);
  });

  it('should be tried at once when it has another URL', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    await failUntilLater(team, standing);
    await patch(team, standing.id, { url: `${stage.receiver.url}/mended-${standing.id}` });
    await untilDeliveries(standing, team, ['delivered']);
    expect(receivedAt(`/mended-${standing.id}`)).toHaveLength(1);
  });

  it('should not be tried sooner when it is set to what it is already', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    await failUntilLater(team, standing);
    await patch(team, standing.id, { url: stage.receiver.url + standing.path, status: 'enabled' });
    const [{ waits }] = (await stage.sql<{ waits: boolean }>(
      `select due_at > now() + interval '50 minutes' as waits from webhook_queues where endpoint_id = $1`,
      [standing.id],
    )) as [{ waits: boolean }];
    expect(waits).toBe(true);
  });

  it('should be tried at once when it is enabled again', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    await failUntilLater(team, standing);
    await patch(team, standing.id, { status: 'paused' });
    answerAt(standing.path, 204);
    await patch(team, standing.id, { status: 'enabled' });
    await untilDeliveries(standing, team, ['delivered']);
  });

  it('should forget its failures with the first success', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    let asked = 0;
    stage.receiver.answer((_, response) => void response.writeHead((asked += 1) < 3 ? 500 : 204).end());
    await stage.video(team);
    await untilDeliveries(standing, team, ['delivered']);
    expect(receivedAt(standing.path)).toHaveLength(3);
    expect((await stage.get(team, `/v1/webhook-endpoints/${standing.id}`)).body.failing_since).toBeNull();
  });

  it('should have its open deliveries given up when it is deleted', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    await patch(team, standing.id, { status: 'paused' });
    await stage.video(team);
    await untilDeliveries(standing, team, ['pending']);
    await request(stage.gateway.url).delete(`/v1/webhook-endpoints/${standing.id}`).set(team.auth);
    await untilDeliveries(standing, team, ['exhausted']);
    const [delivery] = await deliveriesTo(standing, team);
    expect(delivery).toMatchObject({ last_error: 'the endpoint was deleted', attempt_count: 0 });
    expect((await post(team, `/v1/webhook-deliveries/${delivery?.id}/retry`)).status).toBe(409);
    expect(receivedAt(standing.path)).toEqual([]);
  });

  it('should have what waits for a retry given up when it is deleted', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    await failUntilLater(team, standing);
    const lost = await givenUp();
    await request(stage.gateway.url).delete(`/v1/webhook-endpoints/${standing.id}`).set(team.auth);
    await untilDeliveries(standing, team, ['exhausted']);
    expect(receivedAt(standing.path)).toHaveLength(1);
    expect((await deliveriesTo(standing, team))[0]).toMatchObject({ attempt_count: 1 });
    expect(await givenUp()).toEqual({ ...lost, endpoint_deleted: lost.endpoint_deleted + 1 });
  });
});

describe('webhook.test', () => {
  it('should be sent once, even to an endpoint that is paused, and show what came of it', async () => {
    const team = await stage.team();
    const standing = await endpoint(team);
    await patch(team, standing.id, { status: 'paused' });
    const sent = await post(team, `/v1/webhook-endpoints/${standing.id}/test`);
    expect(sent.status).toBe(202);
    expect(sent.body).toMatchObject({ object: 'webhook_delivery', type: 'webhook.test', job_id: null });
    const [webhook] = await untilReceived(standing.path, 1);
    verify(standing.secret, webhook);
    expect(webhook?.json).toMatchObject({ type: 'webhook.test', data: { id: standing.id } });

    answerAt(standing.path, 500);
    const lost = await givenUp();
    const failing = await post(team, `/v1/webhook-endpoints/${standing.id}/test`);
    const detail = await eventually(
      async () => (await stage.get(team, `/v1/webhook-deliveries/${failing.body.id}`)).body as { status: string },
      ({ status }) => status === 'exhausted',
    );
    expect(detail).toMatchObject({ attempts: [{ response_status: 500, error_class: 'http' }], attempt_count: 1 });
    expect(receivedAt(standing.path)).toHaveLength(2);
    expect(await givenUp()).toEqual(lost);
  });
});
