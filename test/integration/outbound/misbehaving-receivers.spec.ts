import { describe, expect, it } from '@jest/globals';
import type { OutboundClient } from '../../../src/common/outbound/outbound-client.js';
import { classOf, clientWith, closeAfterEach, post, running } from './attempts.js';
import { RECEIVER_CERT, startFull, startHttp, startHttps, startTcp, type Receiver } from './receivers.js';

closeAfterEach();

describe('a receiver that misbehaves', () => {
  it('should time out when nothing is answered, and when headers come a byte at a time', async () => {
    const silent = await running(startTcp(() => undefined));
    const drip = await running(
      startTcp((socket) => {
        const bytes = [...'HTTP/1.1 200 OK\r\nx-slow: '.padEnd(10_000, 'a')];
        const timer = setInterval(() => socket.write(bytes.shift() ?? 'a'), 20);
        socket.on('close', () => clearInterval(timer));
      }),
    );
    const client = clientWith({ timeoutMs: 1_500 });
    const [nothing, slow] = await Promise.all(
      [silent, drip].map(({ port }) => post(client, `http://receiver.test:${port}/`)),
    );
    expect(nothing).toMatchObject({ kind: 'error', errorClass: 'timeout', message: 'no response within 1500 ms' });
    expect(nothing?.phases.firstByte).toBeNull();
    expect(slow).toMatchObject({ kind: 'error', errorClass: 'timeout' });
  });

  it('should time out in a lookup, a TCP and a TLS handshake that never end, and say which and how far it got', async () => {
    const silent = await running(startTcp(() => undefined));
    const full = await running(startFull());
    const client = clientWith({ timeoutMs: 1_500 });
    const deaf = clientWith({ timeoutMs: 1_500, lookup: () => new Promise(() => undefined) });
    const [inTls, inTcp, inLookup] = await Promise.all([
      post(client, `https://receiver.test:${silent.port}/`),
      post(client, `https://receiver.test:${full.port}/`),
      post(deaf, 'http://receiver.test/'),
    ]);
    expect(inTls).toMatchObject({
      errorClass: 'timeout',
      message: 'no TLS handshake within 1500 ms',
      phases: { connect: expect.any(Number), tls: null, firstByte: null },
    });
    expect(inTcp).toMatchObject({
      errorClass: 'timeout',
      message: 'no TCP connection within 1500 ms',
      phases: { connect: null, tls: null, firstByte: null },
    });
    expect(inLookup).toMatchObject({ errorClass: 'timeout', message: 'no address of the host within 1500 ms' });
  });

  it('should count the status of an endless body, and drop the connection', async () => {
    let onClosed = (): void => undefined;
    const closed = new Promise<void>((resolve) => {
      onClosed = resolve;
    });
    const receiver = await running(
      startHttp((_request, response) => {
        const more = (): void =>
          void (response.writable && response.write('x'.repeat(8_192), () => setImmediate(more)));
        response.on('close', onClosed);
        more();
      }),
    );
    const outcome = await post(clientWith({ timeoutMs: 600_000 }), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'response', status: 200, bodyExcerpt: 'x'.repeat(2_048) });
    await closed;
  });

  it.each([
    ['claims 1 GB and stops', { 'content-length': 1_073_741_824 }],
    ['names no length and keeps the connection', {}],
  ])('should count the status of a body that %s, long before the wall clock', async (_, headers) => {
    const receiver = await running(
      startHttp((_request, response) => {
        response.writeHead(201, headers);
        response.write('begin');
      }),
    );
    // Longer than this test may take.
    const outcome = await post(clientWith({ timeoutMs: 120_000 }), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'response', status: 201, bodyExcerpt: 'begin' });
  });

  it('should count the status of a body that breaks off', async () => {
    const receiver = await running(
      startTcp((socket) => {
        socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'));
      }),
    );
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'response', status: 200, bodyExcerpt: 'half' });
  });

  it.each([301, 302, 303, 304, 307, 308])('should fail on a %d and not follow it', async (status) => {
    const target = await running(startHttp());
    const location = `http://127.0.0.1:${target.port}/`;
    const receiver = await running(
      startHttp((_request, response) => void response.writeHead(status, { location }).end()),
    );
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ kind: 'error', errorClass: 'redirect', status });
    expect(target.connections()).toBe(0);
  });

  it('should give back what a redirect says', async () => {
    const receiver = await running(
      startHttp((_request, response) => {
        response.writeHead(302, { location: '/elsewhere', 'retry-after': '60' }).end('moved\u0000');
      }),
    );
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({ errorClass: 'redirect', retryAfter: '60', bodyExcerpt: 'moved\ufffd' });
  });

  it('should tell a reset, a close, garbage and too many headers apart', async () => {
    const after = (bytes: string | null): Promise<Receiver> =>
      running(
        startTcp((socket) => {
          socket.once('data', () => {
            if (bytes === null) socket.resetAndDestroy();
            else socket.end(bytes);
          });
        }),
      );
    const client = clientWith();
    const outcomeOf = async (bytes: string | null): Promise<string> =>
      classOf(await post(client, `http://receiver.test:${(await after(bytes)).port}/`));
    expect(await outcomeOf(null)).toBe('reset');
    expect(await outcomeOf('')).toBe('reset');
    expect(await outcomeOf('HTTP/1.1 200 OK\r\nx: ')).toBe('reset');
    expect(await outcomeOf('SSH-2.0-OpenSSH_9.2\r\n')).toBe('http');
    expect(await outcomeOf(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)).toBe('too_large');
  });

  it.each([
    ['100 Continue', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['101 Switching Protocols', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ])('should fail as http, and say so, on a %s', async (name, answer) => {
    const receiver = await running(startTcp((socket) => void socket.once('data', () => socket.write(answer))));
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/`);
    expect(outcome).toMatchObject({
      errorClass: 'http',
      message: `the receiver answered ${name}, which was not asked for`,
    });
  });

  it('should fail as connect when nobody listens', async () => {
    const receiver = await startHttp();
    await receiver.close();
    const outcome = await post(clientWith(), `http://receiver.test:${receiver.port}/?token=secret`);
    expect(outcome).toMatchObject({ kind: 'error', errorClass: 'connect', message: 'no connection (ECONNREFUSED)' });
  });

  it('should fail as tls for an untrusted certificate, another name, plain http and a hang-up', async () => {
    const receiver = await running(startHttps());
    const plain = await running(startHttp());
    const closing = await running(startTcp((socket) => void socket.once('data', () => socket.destroy())));
    const outcomeOf = async (client: OutboundClient, url: string): Promise<string> => classOf(await post(client, url));
    const trusting = clientWith({ ca: RECEIVER_CERT });
    expect(await outcomeOf(clientWith(), `https://receiver.test:${receiver.port}/`)).toBe('tls');
    expect(await outcomeOf(trusting, `https://other.test:${receiver.port}/`)).toBe('tls');
    expect(await outcomeOf(trusting, `https://receiver.test:${plain.port}/`)).toBe('tls');
    expect(await outcomeOf(trusting, `https://receiver.test:${closing.port}/`)).toBe('tls');
    expect(receiver.received).toHaveLength(0);
  });

  it('should say nothing of the URL in a message', async () => {
    const receiver = await running(startHttps());
    const urls = ['https://other.test', 'https://127.0.0.1', 'https://10.0.0.1', 'http://user:pw@a.test'];
    for (const base of urls) {
      const outcome = await post(clientWith({ ca: RECEIVER_CERT }), `${base}:${receiver.port}/path?token=secret`);
      if (outcome.kind === 'error') expect(outcome.message).not.toMatch(/secret|path|pw/);
    }
  });

  it('should fail as http, and send nothing, for headers that HTTP cannot carry', async () => {
    const receiver = await running(startHttp());
    const client = clientWith();
    const url = `http://receiver.test:${receiver.port}/`;
    for (const headers of [{ 'x-a': 'b\r\nx-c: d' }, { 'x-a\r\nx-c': 'd' }, { 'x a': 'd' }]) {
      expect(classOf(await client.post({ url, headers, body: '', allowedHosts: [] }))).toBe('http');
    }
    expect(receiver.received).toHaveLength(0);
  });
});
