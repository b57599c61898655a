import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant, ENCRYPTION_KEYS, ADMIN_KEY, eventually, type TestTenant } from '../../support/gateway.js';
import { startReceiver, type Receiver } from '../../support/receiver.js';
import { ADMIN, bearer, IMAGE, OTHER_TOKEN, TOKEN, useWorld, VIDEO } from '../../support/world.js';

const SIGNATURE = '5d41402abc4b2a76b9719d911017c592deadbeef';
const PRESIGNED =
  'https://bucket.s3.eu-central-1.amazonaws.com/in.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAEXAMPLE%2F2026' +
  `&X-Amz-Date=29991120T090000Z&X-Amz-Expires=86400&X-Amz-Signature=${SIGNATURE}`;
const CALLBACK_SECRET = 'callback-query-secret-1234';
const CREATES = [
  {
    match: { method: 'POST', path: '/api/jobs/from-url/' },
    path: '/v1/jobs',
    body: { ...VIDEO, video_url: PRESIGNED },
  },
  {
    match: { method: 'POST', path: '/api/images/enhance/' },
    path: '/v1/images',
    body: { ...IMAGE, url: PRESIGNED, watermark: false },
  },
];

describe('secrets', () => {
  const world = useWorld({ LOG_LEVEL: 'trace', CALLBACK_RETRY_SCHEDULE_MS: '50' }, { queueMs: 50, durationMs: 100 });
  const http = () => request(world.gateway.url);
  const answers: string[] = [];
  let secrets: Record<string, string>;
  let receiver: Receiver;
  let logged = 0;

  beforeAll(async () => {
    receiver = await startReceiver();
    const { body } = await http().get('/v1/webhook-secret').set(world.auth).expect(200);
    secrets = {
      'tenant key': world.tenant.key,
      'admin key': ADMIN_KEY,
      'TensorPix token': TOKEN,
      'another TensorPix token': OTHER_TOKEN,
      'webhook secret': String(body.secret).replace('whsec_', ''),
      'presigned signature': SIGNATURE,
      'presigned credential': 'AKIAEXAMPLE',
      "secret in a callback's query": CALLBACK_SECRET,
      'encryption key': ENCRYPTION_KEYS.split(':')[1] ?? '',
    };
  });
  afterAll(() => receiver?.close());
  // Each test looks at its own traces only, so that one leak does not fail the others.
  beforeEach(async () => {
    logged = world.gateway.logs().length;
    answers.length = 0;
    receiver.received.length = 0;
    await world.sql('delete from jobs');
  });
  afterEach(() => {
    world.simulator.control.clearFaults();
    receiver.answer((_, response) => void response.writeHead(204).end());
  });

  /** Keeps an answer, without the client's own URLs: those it may show. */
  const keep = (answer: { text: string; headers: object }): void => {
    const own = (key: string, value: unknown) => (['input', 'url', 'secret'].includes(key) ? undefined : value);
    const text = answer.text.startsWith('{') ? JSON.stringify(JSON.parse(answer.text), own) : answer.text;
    answers.push(text + JSON.stringify(answer.headers));
  };

  /** Which secret is seen where. */
  const leaks = async (): Promise<string[]> => {
    const column = async (text: string) => (await world.sql<{ all: string | null }>(text))[0]?.all ?? '';
    const places: Record<string, string> = {
      logs: world.gateway.logs().slice(logged),
      answers: answers.join('\n'),
      metrics: (await http().get('/metrics').expect(200)).text,
      webhooks: receiver.received.map(({ body }) => body).join('\n'),
      'job_events.data': await column("select string_agg(data::text, ' ') as all from job_events"),
      'jobs.error': await column("select string_agg(coalesce(error::text, ''), ' ') as all from jobs"),
      'webhook_deliveries.last_error': await column(
        "select string_agg(coalesce(last_error, ''), ' ') as all from webhook_deliveries",
      ),
      'webhook_deliveries.body': await column("select string_agg(body, ' ') as all from webhook_deliveries"),
    };
    return Object.entries(secrets).flatMap(([name, secret]) =>
      Object.entries(places)
        .filter(([, text]) => text.includes(secret))
        .map(([place]) => `${name} in ${place}`),
    );
  };

  const settled = (): Promise<unknown> =>
    eventually(
      () =>
        world.sql<{ n: number }>(
          "select count(*)::int as n from webhook_deliveries where status in ('pending', 'failing')",
        ),
      ([row]) => row?.n === 0,
    );

  it('should not be seen when everything goes well', async () => {
    for (const { path, body } of CREATES) {
      const callback_url = `${receiver.url}/hook?token=${CALLBACK_SECRET}`;
      const answer = await http()
        .post(path)
        .set(world.auth)
        .send({ ...body, callback_url });
      expect(answer.status).toBe(201);
      keep(answer);
      const { id } = answer.body as { id: string };
      await eventually(
        () => receiver.types(id),
        (types) => types.some((type) => type.endsWith('.finished')),
      );
      keep(await http().get(`${path}/${id}/events`).set(world.auth).expect(200));
    }
    for (const path of ['/v1/jobs', '/v1/images']) keep(await http().get(path).set(world.auth).expect(200));
    for (const path of ['/v1/tenants', `/v1/tenants/${world.tenant.id}`, `/v1/tenants/${world.tenant.id}/api-keys`])
      keep(await http().get(path).set(ADMIN).expect(200));
    keep(await http().get('/openapi.json').expect(200));
    expect(await leaks()).toEqual([]);
  });

  it('should not be seen when a callback fails', async () => {
    const callback_url = `${receiver.url}/hook?token=${CALLBACK_SECRET}`;
    receiver.answer(
      (webhook, response) => void response.writeHead(500).end(`${webhook.path} ${JSON.stringify(webhook.headers)}`),
    );
    keep(
      await http()
        .post('/v1/jobs')
        .set(world.auth)
        .send({ ...VIDEO, video_url: PRESIGNED, callback_url })
        .expect(201),
    );
    await settled();
    receiver.answer((_, response) => void response.socket?.resetAndDestroy());
    keep(
      await http()
        .post('/v1/jobs')
        .set(world.auth)
        .send({ ...VIDEO, video_url: PRESIGNED, callback_url })
        .expect(201),
    );
    await settled();
    keep(await http().get('/v1/jobs?callback=undelivered').set(world.auth).expect(200));
    expect(await leaks()).toEqual([]);
  });

  it.each([
    'server_error',
    'bad_gateway',
    'reset',
    'payment_required',
    'no_credits_400',
    'storage_400',
    'forbidden',
    'garbage',
    'rate_limited',
  ] as const)('should not be seen when TensorPix answers with %s', async (kind) => {
    for (const { match, path, body } of CREATES) {
      world.simulator.control.addFault({ match, times: 1, fault: { kind } });
      keep(await http().post(path).set(world.auth).set('prefer', 'handling=strict').send(body));
    }
    expect(await leaks()).toEqual([]);
  });

  const echoes: [string, unknown][] = [
    ['after "Token"', { detail: `Token ${TOKEN} is not valid` }],
    ['in quotes', { detail: `Invalid token "${TOKEN}".` }],
    ['after a colon', { detail: `Invalid token: ${TOKEN}` }],
    ['in a sentence', { detail: `The key ${TOKEN} has no access` }],
    ['as JSON in a text', { detail: `{"headers":{"Authorization":"${TOKEN}"}}` }],
    ['of a field', { errors: { video_url: [`${TOKEN} may not`] }, non_field_errors: [TOKEN] }],
    ["as a field's name", { errors: { [TOKEN]: ['is wrong'] }, non_field_errors: [] }],
    ['plain, as Django does', { video_url: [`with ${TOKEN}`] }],
    ['percent-encoded', { detail: `Token%20${TOKEN}` }],
  ];
  describe.each([400, 401, 402, 403, 409, 429, 500])('echoed by TensorPix with %p', (status) => {
    it.each(echoes)('the token %s should not be seen', async (_, body) => {
      for (const create of CREATES) {
        world.simulator.control.addFault({ match: create.match, times: 1, fault: { kind: 'body', status, body } });
        keep(await http().post(create.path).set(world.auth).set('prefer', 'handling=strict').send(create.body));
      }
      expect((await leaks()).filter((leak) => leak.includes('token'))).toEqual([]);
    });
  });

  it.each<[string, unknown]>([
    ['as it is', { errors: { video_url: [`could not be fetched: ${PRESIGNED}`] }, non_field_errors: [] }],
    ['in brackets', { detail: `(<${PRESIGNED}>)` }],
    ['percent-encoded', { detail: `url=${encodeURIComponent(PRESIGNED)}` }],
    ['with escaped slashes', { detail: PRESIGNED.replaceAll('/', '\\/') }],
    ['with escaped ampersands', { detail: PRESIGNED.replaceAll('&', '&amp;').replaceAll('?', '&quest;') }],
    ['without its host', { detail: PRESIGNED.slice(PRESIGNED.indexOf('/in.mp4')) }],
    ['in capitals', { detail: PRESIGNED.replace('https', 'HTTPS').replaceAll('X-Amz', 'X-AMZ') }],
    ["as a field's name", { errors: { [PRESIGNED]: ['is wrong'] }, non_field_errors: [] }],
    ['broken by a new line', { detail: PRESIGNED.replace('&X-Amz-Signature', '\n&X-Amz-Signature') }],
  ])('a presigned query that TensorPix echoes %s should not be seen', async (_, body) => {
    for (const create of CREATES) {
      world.simulator.control.addFault({ match: create.match, times: 1, fault: { kind: 'body', status: 400, body } });
      keep(await http().post(create.path).set(world.auth).send(create.body));
    }
    expect((await leaks()).filter((leak) => leak.includes('presigned'))).toEqual([]);
  });

  it('should not be seen when the database refuses a row and says which', async () => {
    await world.sql(`create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'refused: %', to_jsonb(new)::text using detail = to_jsonb(new)::text; end $$`);
    await world.sql(
      "create trigger refuse before insert on jobs for each row when (new.external_id = 'refuse') execute function refuse()",
    );
    const body = {
      ...VIDEO,
      video_url: PRESIGNED,
      external_id: 'refuse',
      callback_url: `${receiver.url}/?token=${CALLBACK_SECRET}`,
    };
    const answer = await http().post('/v1/jobs').set(world.auth).send(body);
    expect(answer.status).toBe(500);
    expect(answer.text).not.toMatch(/refused|select|insert|at .*\.(js|ts)/i);
    keep(answer);
    expect(await leaks()).toEqual([]);
  });

  it('should not be seen when a stored token does not open', async () => {
    const tenant: TestTenant = await createTenant(world.gateway.url, OTHER_TOKEN);
    await world.sql("update tenants set token_ciphertext = 'v1.k1.' || md5('x') where id = $1", [tenant.id]);
    const answer = await http()
      .post('/v1/jobs')
      .set(bearer(tenant))
      .send({ ...VIDEO, video_url: PRESIGNED });
    expect(answer.status).toBe(500);
    keep(answer);
    expect(await leaks()).toEqual([]);
  });

  it('should not be seen when they are sent in the wrong places', async () => {
    const { key } = world.tenant;
    for (const path of [
      `/v1/${TOKEN}`,
      `/v1/jobs?${PRESIGNED.split('?')[1]}&token=${key}`,
      `/v1/jobs/${key}`,
      `/${encodeURIComponent(PRESIGNED)}`,
    ])
      await http().get(path).set('x-forwarded-for', key).set('cookie', `a=${key}`).set('user-agent', ADMIN_KEY);
    await http()
      .post('/v1/jobs')
      .set({ authorization: `Basic ${key}` })
      .send(VIDEO);
    await http().post('/v1/jobs').set(world.auth).set('content-type', 'application/json').send(`{"token":"${TOKEN}"`);
    const leaked = (await leaks()).filter((leak) => leak.endsWith('logs') || leak.endsWith('metrics'));
    expect(leaked).toEqual([]);
  });
});
