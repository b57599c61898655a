import { describe, expect, it } from '@jest/globals';
import { BODY, classOf, clientWith, closeAfterEach, post, running } from './attempts.js';
import { RECEIVER_CERT, startHttp, startHttps } from './receivers.js';

closeAfterEach();

describe('a callback that arrives', () => {
  it('should POST headers and body with the Host of the URL and nothing that asks for encodings', async () => {
    const receiver = await running(startHttp());
    const outcome = await post(clientWith(), `http://hooks.receiver.test:${receiver.port}/a%20b?token=1`);
    expect(outcome).toMatchObject({ kind: 'response', status: 200, retryAfter: null, bodyExcerpt: 'ok' });
    expect(receiver.received).toHaveLength(1);
    expect(receiver.received[0]).toMatchObject({
      method: 'POST',
      path: '/a%20b?token=1',
      body: BODY,
    });
    expect(receiver.received[0]?.headers).toMatchObject({
      host: `hooks.receiver.test:${receiver.port}`,
      'content-type': 'application/json',
      'content-length': '23',
      'webhook-id': 'msg_1',
      'user-agent': 'tensorpix-gateway-test',
      'accept-encoding': 'identity',
    });
  });

  it('should give back the headers exactly as the receiver got them, over http and https, on one connection', async () => {
    const plain = await running(startHttp());
    const secure = await running(startHttps());
    const client = clientWith({ ca: RECEIVER_CERT });
    const given = JSON.parse('{"X-Own":"a","__proto__":"b","te":"trailers"}') as Record<string, string>;
    for (const { url, receiver } of [
      { url: `http://receiver.test:${plain.port}/`, receiver: plain },
      { url: `https://receiver.test.:${secure.port}/`, receiver: secure },
    ]) {
      for (const body of ['', 'ü', Buffer.from('ü')]) {
        const { requestHeaders } = await client.post({ url, headers: given, body, allowedHosts: [] });
        const sent = Object.entries(requestHeaders ?? {}).map(([name, value]) => `${name}: ${value}`);
        expect(sent.sort()).toEqual([...(receiver.received.at(-1)?.rawHeaders ?? [])].sort());
        expect(sent).toHaveLength(7);
      }
      expect(receiver.connections()).toBe(1);
    }
  });

  it('should send bytes as they are', async () => {
    const receiver = await running(startHttp());
    const body = Buffer.from('{"a":"ü"}');
    await clientWith().post({ url: `http://127.0.0.1:${receiver.port}/`, headers: {}, body, allowedHosts: [] });
    expect(receiver.received[0]?.body).toBe('{"a":"ü"}');
  });

  it('should drop headers that belong to the connection', async () => {
    const receiver = await running(startHttp());
    const headers = {
      Host: 'evil.test',
      Connection: 'close',
      'Transfer-Encoding': 'chunked',
      'Accept-Encoding': 'gzip',
    };
    const url = `http://receiver.test:${receiver.port}/`;
    const outcome = await clientWith().post({
      url,
      headers: { ...headers, 'User-Agent': 'own' },
      body: 'x',
      allowedHosts: [],
    });
    expect(classOf(outcome)).toBe('response 200');
    expect(receiver.received[0]?.headers).toMatchObject({
      host: `receiver.test:${receiver.port}`,
      connection: 'keep-alive',
      'accept-encoding': 'identity',
      'user-agent': 'own',
    });
  });

  it('should present the name in SNI and Host and verify it', async () => {
    const receiver = await running(startHttps());
    const outcome = await post(clientWith({ ca: RECEIVER_CERT }), `https://hooks.receiver.test.:${receiver.port}/`);
    expect(classOf(outcome)).toBe('response 200');
    expect(receiver.received[0]).toMatchObject({
      serverName: 'hooks.receiver.test',
      headers: { host: `hooks.receiver.test:${receiver.port}` },
    });
    expect(outcome.phases.connect).not.toBeNull();
    expect(outcome.phases.tls).not.toBeNull();
  });

  it('should reach an address literal over TLS, without SNI, by its name in the certificate', async () => {
    const receiver = await running(startHttps());
    expect(classOf(await post(clientWith({ ca: RECEIVER_CERT }), `https://127.0.0.1:${receiver.port}/`))).toBe(
      'response 200',
    );
    expect(receiver.received[0]?.serverName).toBe(false);
  });

  it('should reach localhost without asking the resolver', async () => {
    const receiver = await running(startHttp());
    const client = clientWith({ lookup: () => Promise.reject(new Error('asked')) });
    expect(classOf(await post(client, `http://localhost:${receiver.port}/`))).toBe('response 200');
  });

  it('should give back status, Retry-After and the first 2 kB of the body as storable text', async () => {
    const body = `\u0000${'a'.repeat(2_045)}üü`;
    const receiver = await running(
      startHttp((_request, response) => void response.setHeader('retry-after', ['120', '7']).writeHead(503).end(body)),
    );
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({
      kind: 'response',
      status: 503,
      retryAfter: '120',
      bodyExcerpt: `\ufffd${'a'.repeat(2_045)}ü`,
    });
  });

  it('should not inflate an answer', async () => {
    const receiver = await running(
      startHttp((_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip')),
    );
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'response', status: 200, bodyExcerpt: 'not gzip' });
  });

  it('should take a hundred headers and informational responses', async () => {
    const receiver = await running(
      startHttp((_request, response) => {
        response.writeEarlyHints({ link: '</x>; rel=preload' });
        for (let index = 0; index < 100; index++) response.setHeader(`x-header-${index}`, 'value');
        response.writeHead(204).end();
      }),
    );
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'response', status: 204, bodyExcerpt: '' });
  });
});

describe('a client that closes', () => {
  it('should finish what is under way, and refuse what comes after', async () => {
    let answer = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let finish = (): void => undefined;
    const receiver = await running(
      startHttp((_request, response) => {
        finish = () => void response.end('late');
        answer();
      }),
    );
    const client = clientWith();
    const url = `http://receiver.test:${receiver.port}/`;
    const underWay = post(client, url);
    await arrived;
    const closing = client.close();
    await expect(post(client, url)).rejects.toThrow('closed');
    finish();
    await closing;
    expect(await underWay).toMatchObject({ kind: 'response', status: 200, bodyExcerpt: 'late' });
  });
});
