import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { eventually } from '../../support/gateway.js';
import { holdAnswer } from '../../support/held-answers.js';
import { ADMIN, exchange, expectProblem, expectRefused, rawExchange, useWorld, VIDEO } from '../../support/world.js';

const NOBODY = '0190a5c2-0000-7000-8000-000000000000';

describe('HTTP at its edges', () => {
  const world = useWorld();
  const head = () => `Host: gateway\r\nAuthorization: ${world.auth.authorization}\r\n`;
  const raw = (bytes: string | Buffer) => rawExchange(world.gateway.url, bytes);
  const get = (path: string, method = 'GET') => exchange(world.gateway.url, { method, path, headers: world.auth });

  it.each([
    '/',
    '/v1',
    '/v1/',
    '/v1/job',
    '/v2/jobs',
    '/V1/JOBS',
    '/v1/jobs/',
    '/v1//jobs',
    '/favicon.ico',
    '/.env',
    '/v1/jobs/..%2f',
  ])('should answer the unknown route %s with 404', async (path) => {
    await expectRefused(world, () => get(path), 404, 'not_found');
  });

  it.each([
    ['PUT', '/v1/jobs'],
    ['PATCH', '/v1/jobs'],
    ['DELETE', '/v1/jobs'],
    ['OPTIONS', '/v1/jobs'],
    ['DELETE', '/v1/images'],
    ['GET', `/v1/jobs/${NOBODY}/cancel`],
    ['POST', `/v1/jobs/${NOBODY}`],
    ['POST', `/v1/jobs/${NOBODY}/events`],
    ['POST', `/v1/images/${NOBODY}/cancel`],
    ['PUT', '/v1/webhook-secret'],
    ['GET', '/v1/webhook-secret/rotate'],
    ['TRACE', '/v1/jobs'],
    ['PROPFIND', '/v1/jobs'],
    ['SEARCH', '/v1/jobs'],
  ])('should refuse %s %s', async (method, path) => {
    const answer = await get(path, method);
    expect([404, 405]).toContain(answer.status);
    expectProblem(answer, answer.status);
  });

  it.each(['%', '%zz', '%E0%A4%A', '%c0%af', '%ff', '%00', '%', 'a%'])(
    'should refuse the escape in /v1/jobs/%s',
    async (id) => {
      const answer = await get(`/v1/jobs/${id}`);
      expect([400, 404]).toContain(answer.status);
      expectProblem(answer, answer.status);
    },
  );

  it.each([
    'limit=%zz',
    'cursor=%E0%A4%A',
    'external_id=%00',
    '%=1',
    '%00=1',
    'limit=1&limit=1',
    'limit[]=1',
    '__proto__=1',
  ])('should refuse the query ?%s', async (query) => {
    await expectRefused(world, () => get(`/v1/jobs?${query}`), 400, 'validation_failed');
  });

  it.each([
    '1',
    'abc',
    'null',
    '0190a5c200007000800000000000000',
    `${NOBODY}0`,
    `{${NOBODY}}`,
    `${NOBODY}%20`,
    `${NOBODY}'--`,
    '0190a5c2-0000-7000-8000-00000000000g',
    'a'.repeat(100),
  ])('should answer 404 for the id %s, which is none', async (id) => {
    for (const path of [`/v1/jobs/${id}`, `/v1/jobs/${id}/events`, `/v1/images/${id}`, `/v1/images/${id}/events`])
      expectProblem(await get(path), 404, 'not_found');
    expectProblem(await get(`/v1/jobs/${id}/cancel`, 'POST'), 404, 'not_found');
    for (const path of [`/v1/tenants/${id}`, `/v1/tenants/${id}/api-keys`])
      expectProblem(await exchange(world.gateway.url, { method: 'GET', path, headers: ADMIN }), 404, 'not_found');
    const path = `/v1/tenants/${world.tenant.id}/api-keys/${id}`;
    expectProblem(await exchange(world.gateway.url, { method: 'DELETE', path, headers: ADMIN }), 404, 'not_found');
  });

  it.each([101, 5_000])('should refuse an id of %p characters as a fault of the client', async (length) => {
    const answer = await get(`/v1/jobs/${'a'.repeat(length)}`);
    expect([404, 414]).toContain(answer.status);
    expectProblem(answer, answer.status);
  });

  it.each([
    ['one header', { 'x-large': 'a'.repeat(16_384) }],
    ['many headers', Object.fromEntries(Array.from({ length: 170 }, (_, i) => [`x-h${i}`, 'a'.repeat(100)]))],
    ['a key', { authorization: `Bearer ${'a'.repeat(17_000)}` }],
  ])('should refuse headers of 16 kB: %s', async (_, headers) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const answer = await raw(`GET /v1/jobs HTTP/1.1\r\nHost: a\r\n${lines.join('')}\r\n`);
    expectProblem(answer, 431);
  });

  it('should refuse a URL of 16 kB', async () => {
    const answer = await raw(`GET /v1/jobs?cursor=${'a'.repeat(17_000)} HTTP/1.1\r\n${head()}\r\n`);
    expectProblem(answer, 431);
  });

  it.each([
    ['bytes', Buffer.from([0, 1, 2, 3, 255, 254, 13, 10, 13, 10])],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
    ['words', 'hello, are you there?\r\n\r\n'],
    ['an unknown version', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n'],
    ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', 'FETCH /v1/jobs HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a header without a colon', 'GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
    ['a NUL in a header', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: a\0b\r\n\r\n'],
    ['a content-length that is no number', 'POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n'],
    ['a negative content-length', 'POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n'],
    ['two content-lengths', 'POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'content-length and chunks (smuggling)',
      'POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['no host', 'GET /v1/jobs HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ])('should answer garbage on the socket in the shape of every error: %s', async (_, bytes) => {
    expectProblem(await raw(bytes), 400, 'validation_failed');
  });

  it('should refuse a chunk whose size is none', async () => {
    const start = `POST /v1/jobs HTTP/1.1\r\n${head()}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
    await expectRefused(world, () => raw(`${start}zz\r\n{}\r\n0\r\n\r\n`), 400);
  });

  it('should not answer garbage in the place of an earlier request on the connection', async () => {
    const held = holdAnswer(world.simulator, { method: 'POST', path: '/api/jobs/from-url/' });
    const body = JSON.stringify(VIDEO);
    const create = `POST /v1/jobs HTTP/1.1\r\n${head()}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const answer = await raw(`${create}GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n`);
    expect(answer.text).toBe('');
    await held.untilHeld();
    held.arrive();
    const sending = () => world.sql(`select 1 from jobs where status = 'submitting'`);
    await eventually(sending, (rows) => rows.length === 0);
  });

  it.each([
    ['head', () => `POST /v1/jobs HTTP/1.1\r\n${head()}`],
    ['body', () => `POST /v1/jobs HTTP/1.1\r\n${head()}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{`],
  ])('should ask for a repeat of a request whose %s was not read in time', async (_, half) => {
    const server = world.gateway.app.getHttpServer();
    const { headersTimeout, requestTimeout } = server;
    Object.assign(server, { headersTimeout: 100, requestTimeout: 100 });
    try {
      const answer = await raw(half());
      expectProblem(answer, 503, 'unavailable');
      expect(answer.headers).toMatchObject({ 'retry-after': '1', connection: 'close' });
    } finally {
      Object.assign(server, { headersTimeout, requestTimeout });
    }
  });

  it('should refuse an expectation that it does not know', async () => {
    const body = JSON.stringify(VIDEO);
    const start = `POST /v1/jobs HTTP/1.1\r\n${head()}Expect: a-miracle\r\nConnection: close\r\n`;
    const answer = await raw(`${start}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    expect(answer.status).toBe(417);
    expectProblem(answer, 417);
  });

  it('should record nothing for a body that breaks off', async () => {
    const before = await world.effects();
    const body = JSON.stringify(VIDEO);
    const { port, hostname } = new URL(world.gateway.url);
    const { connect } = await import('node:net');
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        socket.write(`POST /v1/jobs HTTP/1.1\r\n${head()}Content-Type: application/json\r\n`);
        socket.write(`Content-Length: ${body.length + 1}\r\n\r\n${body}`, () => socket.destroy());
      });
      socket.on('close', () => resolve());
    });
    await request(world.gateway.url).get('/health/live').expect(200);
    expect(await world.effects()).toEqual(before);
  });

  it.each(['abc-123', 'a', 'A.b_c:d-e', 'x'.repeat(128)])('should keep the request id %s', async (id) => {
    const answer = await exchange(world.gateway.url, {
      method: 'GET',
      path: '/v1/jobs',
      headers: { 'x-request-id': id },
    });
    expect(expectProblem(answer, 401).request_id).toBe(id);
    const good = await exchange(world.gateway.url, {
      method: 'GET',
      path: '/health/live',
      headers: { 'x-request-id': id },
    });
    expect(good.headers['x-request-id']).toBe(id);
  });

  it.each([
    '',
    ' ',
    'a b',
    'x'.repeat(129),
    '<script>',
    '"quoted"',
    'é',
    '../../etc',
    '{"a":1}',
    'a,b',
    '%0d%0aset-cookie:a',
  ])('should make its own request id instead of %j', async (id) => {
    const headers = { 'x-request-id': id };
    const answer = await exchange(world.gateway.url, { method: 'GET', path: '/v1/jobs', headers });
    expect(expectProblem(answer, 401).request_id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('should make its own request id instead of two', async () => {
    const headers = { 'x-request-id': ['one', 'two'] };
    const answer = await exchange(world.gateway.url, { method: 'GET', path: '/v1/jobs', headers });
    expect(expectProblem(answer, 401).request_id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it.each(['/health/live', '/health/ready', '/metrics', '/openapi.json', '/docs'])(
    'should answer %s without a key and with a request id',
    async (path) => {
      const answer = await exchange(world.gateway.url, { method: 'GET', path });
      expect(answer.status).toBe(200);
      expect(answer.headers['x-request-id']).toMatch(/./);
    },
  );
});
