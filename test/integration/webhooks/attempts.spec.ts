import { describe, expect, it } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import type { ReceivedWebhook } from '../../support/receiver.js';
import { eventually } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

const stage = useStage({
  env: { CALLBACK_TIMEOUT_MS: '30000', CALLBACK_RETRY_SCHEDULE_MS: '3600000,3600000' },
  simulator: { queueMs: 3_600_000 },
  hurry: true,
});

type Answer = (webhook: ReceivedWebhook, response: ServerResponse) => void;

function status(code: number, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(code, headers).end();
}

/** A job that is queued, and so has one webhook; a path of its own tells its webhooks apart. */
async function queued(team: Team, fields: object = {}): Promise<string> {
  const created = await stage.video(team, { ...stage.callback, ...fields });
  expect(created.status).toBe(201);
  return idOf(created);
}

function receivedOf(id: string): ReceivedWebhook[] {
  return stage.receiver.received.filter(({ json }) => json.data.id === id);
}

function until(id: string, state: string) {
  return eventually(
    async () => (await stage.deliveries(id))[0],
    (delivery) => delivery?.status === state,
  );
}

/** Waits for an attempt that fails, and has the next one made. */
async function failAndRetry(id: string, attempts: number): Promise<void> {
  await eventually(
    async () => (await stage.deliveries(id))[0],
    (delivery) => delivery?.status === 'failing' && delivery.attempts === attempts,
  );
  await stage.sql(`update webhook_queues set due_at = now() - interval '1 second' where id = $1`, [id]);
}

/** Answers the first attempts of a receiver one by one, the last one for ever. */
function answers(...list: Answer[]): void {
  let attempt = 0;
  stage.receiver.answer((webhook, response) => list[Math.min(attempt++, list.length - 1)]?.(webhook, response));
}

describe('an attempt that fails', () => {
  it.each<[string, Answer]>([
    ['500', status(500)],
    ['404', status(404)],
    ['304', status(304)],
    ['a redirect', status(302, { location: '/elsewhere' })],
    ['a permanent redirect', status(308, { location: '/elsewhere' })],
    ['a reset', (_, response) => void response.socket?.resetAndDestroy()],
    ['no HTTP', (_, response) => void response.socket?.end('nonsense\r\n\r\n')],
  ])('should be made again with the same id and body: %s', async (_, answer) => {
    const team = await stage.team();
    answers(answer, status(204));
    const id = await queued(team);
    await failAndRetry(id, 1);
    const delivery = await until(id, 'delivered');
    expect(delivery).toMatchObject({ attempts: 2, last_error: null });
    const [first, second, ...more] = receivedOf(id);
    expect(more).toEqual([]);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(second?.body).toBe(first?.body);
    expect(second?.path).toBe('/');
  });

  it.each<[string, Answer, RegExp]>([
    ['500', status(500), /^http: the receiver answered 500$/],
    ['a redirect', status(302, { location: 'http://127.0.0.1:1/' }), /^redirect: /],
  ])('should show in the job as failing and then exhausted: %s', async (_, answer, error) => {
    const team = await stage.team();
    answers(answer);
    const id = await queued(team);
    await until(id, 'failing');
    const failing = (await stage.get(team, `/v1/jobs/${id}`)).body.callback;
    expect(failing).toMatchObject({
      url: stage.receiver.url,
      state: 'failing',
      last_error: expect.stringMatching(error),
    });

    await failAndRetry(id, 1);
    await failAndRetry(id, 2);
    await until(id, 'exhausted');
    const exhausted = await stage.get(team, `/v1/jobs/${id}`);
    expect(exhausted.body.callback).toMatchObject({
      state: 'exhausted',
      attempts: 3,
      last_error: expect.stringMatching(error),
    });
    expect(receivedOf(id)).toHaveLength(3);
    const { body } = await stage.get(team, '/v1/jobs?callback=undelivered');
    expect((body as { data: { id: string }[] }).data.map((job) => job.id)).toEqual([id]);
  });

  it('should show what a redirect answered', async () => {
    const team = await stage.team();
    answers((_, response) => void response.writeHead(302, { location: '/elsewhere' }).end('this has moved'));
    const id = await queued(team);
    const delivery = await until(id, 'failing');
    const { body } = await stage.get(team, `/v1/webhook-deliveries/${delivery?.id}`);
    expect(body.attempts).toMatchObject([
      { error_class: 'redirect', response_status: 302, response_body: 'this has moved' },
    ]);
  });

  it('should end at once with a 410', async () => {
    const team = await stage.team();
    answers(status(410));
    const id = await queued(team);
    await until(id, 'exhausted');
    expect(receivedOf(id)).toHaveLength(1);
    expect((await stage.deliveries(id))[0]).toMatchObject({
      attempts: 1,
      last_error: 'http: the receiver answered 410',
    });
  });

  it('should be put off by Retry-After', async () => {
    const team = await stage.team();
    answers(status(503, { 'retry-after': '3600' }), status(204));
    const id = await queued(team);
    const delivery = await until(id, 'failing');
    const { body } = await stage.get(team, `/v1/webhook-deliveries/${delivery?.id}`);
    expect(Date.parse(body.next_attempt_at as string) - Date.now()).toBeGreaterThan(3_000_000);
    expect(receivedOf(id)).toHaveLength(1);
  });

  it('should count as delivered when the headers are there, though the body never ends', async () => {
    const team = await stage.team();
    answers((_, response) => void response.writeHead(200).write('x'));
    const id = await queued(team);
    await until(id, 'delivered');
    expect(receivedOf(id)).toHaveLength(1);
  });
});

describe('a webhook', () => {
  it('should be verified by the reference verifier and carry the headers of the standard', async () => {
    const team = await stage.team();
    const metadata = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`key-${i}`, 'ä'.repeat(250)]));
    const id = await queued(team, { metadata, external_id: 'x'.repeat(128) });
    await until(id, 'delivered');
    const { body: secret } = await stage.get(team, '/v1/webhook-secret');
    const [webhook] = receivedOf(id);
    expect(webhook?.headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-id': expect.any(String),
      'webhook-timestamp': expect.stringMatching(/^\d{10}$/),
      'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
    });
    new Webhook((secret as { secret: string }).secret).verify(
      webhook?.body ?? '',
      webhook?.headers as Record<string, string>,
    );
    expect(Buffer.byteLength(webhook?.body ?? '')).toBeLessThan(20_000);
    expect(Object.keys(webhook?.json ?? {})).toEqual(['type', 'timestamp', 'data']);
    expect(webhook?.json.data).not.toHaveProperty('input');
    expect(webhook?.json.data).not.toHaveProperty('callback');
    expect(webhook?.json.data).toMatchObject({ id, metadata, status: 'queued', tensorpix_id: expect.any(Number) });
  });

  it('should be in the attempt log with all headers that were sent', async () => {
    const team = await stage.team();
    const id = await queued(team);
    const delivery = await until(id, 'delivered');
    const { body } = await stage.get(team, `/v1/webhook-deliveries/${delivery?.id}`);
    const [attempt] = body.attempts as { request_headers: Record<string, string> }[];
    expect(attempt?.request_headers).toEqual(receivedOf(id)[0]?.headers);
  });

  it('should only be sent for the events that the job asked for', async () => {
    const team = await stage.team();
    const id = await queued(team, { callback_events: ['job.finished'] });
    expect(await stage.deliveries(id)).toEqual([]);
    const silent = await queued(team, { callback_events: [] });
    expect(await stage.deliveries(silent)).toEqual([]);
  });

  it('should not be sent without a callback_url, which the job says', async () => {
    const team = await stage.team();
    const created = await stage.video(team);
    expect(created.body.callback).toEqual({ url: null, state: 'none', attempts: 0, last_error: null });
    expect(await stage.deliveries(idOf(created))).toEqual([]);
  });

  it('should never reach an address that became forbidden after the job was made (invariant 12)', async () => {
    const team = await stage.team();
    const id = await queued(team);
    await until(id, 'delivered');
    for (const url of ['http://169.254.169.254/latest', 'http://10.0.0.1/', 'http://localhost.localdomain.invalid/']) {
      await stage.sql('update webhook_deliveries set url = $2 where job_id = $1', [id, url]);
      await stage.sendAgain(id);
      const failed = await eventually(
        async () => (await stage.deliveries(id))[0],
        (delivery) => delivery?.status === 'failing' || delivery?.status === 'exhausted',
      );
      expect(failed?.last_error).toMatch(/^(forbidden_address|dns|timeout): /);
      expect(failed?.last_error).not.toContain('latest');
    }
    expect(receivedOf(id)).toHaveLength(1);
  });

  it('should only go to the hosts that the tenant allows', async () => {
    const team = await stage.team({ callback_allowed_hosts: ['127.0.0.1'] });
    const id = await queued(team);
    await until(id, 'delivered');
    await stage.sql(`update tenants set callback_allowed_hosts = '{hooks.example.com}' where id = $1`, [team.id]);
    await stage.sendAgain(id);
    const failed = await until(id, 'failing');
    expect(failed?.last_error).toMatch(/^forbidden_address: /);
    expect(receivedOf(id)).toHaveLength(1);
  });
});
