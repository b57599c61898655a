import { spawn, spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { classOf, clientWith, closeAfterEach, post, running } from './attempts.js';
import { RECEIVER_CERT, startHttp, startTcp, startTls } from './receivers.js';

closeAfterEach();

/** Beyond the end of every test: what ends an attempt here is not the clock. */
const NEVER_MS = 600_000;

const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';

/** How an answer begins, what is repeated then for ever, and what the attempt comes to. */
const ANSWERS: readonly [string, string, string, string][] = [
  ['a reason phrase', 'HTTP/1.1 200 ', 'a', 'too_large'],
  ['103 responses', '', 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n', 'too_large'],
  ['empty lines', '', '\r\n', 'too_large'],
  ['the extension of a chunk', `${CHUNKED}5;`, 'a', 'response 200'],
];

/** Writes the beginning, and then the part again and again until the socket is closed. */
function flood(socket: Socket, begin: string, part: string): void {
  const block = part.repeat(Math.ceil(65_536 / part.length));
  const more = (): void => {
    if (!socket.destroyed) socket.write(block, () => setImmediate(more));
  };
  socket.write(begin);
  more();
}

/** Sends 20,000 session tickets, 5 MB, after each handshake. */
async function startTicketServer(): Promise<{ port: number; stop: () => void }> {
  const file = (name: string): string =>
    fileURLToPath(new URL(`../../fixtures/tls/receiver.${name}.pem`, import.meta.url));
  const files = ['-cert', file('cert'), '-key', file('key')];
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', '-num_tickets', '20000', ...files]);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('close', () => reject(new Error('openssl has ended')));
    let printed = '';
    server.stdout.on('data', (text: Buffer) => {
      printed += text.toString();
      const port = /^ACCEPT .*:(\d+)$/m.exec(printed)?.[1];
      if (port !== undefined) resolve({ port: Number(port), stop: () => void server.kill() });
    });
  });
}

describe('an answer that never ends', () => {
  it.each(ANSWERS)('should be given up, and its connection closed: %s', async (_, begin, part, outcome) => {
    let onClosed = (): void => undefined;
    const closed = new Promise<void>((resolve) => (onClosed = resolve));
    const receiver = await running(
      startTcp((socket) => {
        socket.on('close', onClosed);
        socket.once('data', () => flood(socket, begin, part));
      }),
    );
    const client = clientWith({ timeoutMs: NEVER_MS });
    expect(classOf(await post(client, `http://receiver.test:${receiver.port}/`))).toBe(outcome);
    await closed;
  });

  it.each(ANSWERS)('should be given up over TLS too: %s', async (_, begin, part, outcome) => {
    const receiver = await running(startTls((socket) => void socket.once('data', () => flood(socket, begin, part))));
    const client = clientWith({ timeoutMs: NEVER_MS, ca: RECEIVER_CERT });
    expect(classOf(await post(client, `https://receiver.test:${receiver.port}/`))).toBe(outcome);
  });

  it('should be given up in the handshake of TLS', async () => {
    // HelloRequest, which a client that is shaking hands already passes over.
    const part = '\u0016\u0003\u0003\u0000\u0004\u0000\u0000\u0000\u0000';
    const receiver = await running(startTcp((socket) => void socket.once('data', () => flood(socket, '', part))));
    const client = clientWith({ timeoutMs: NEVER_MS, ca: RECEIVER_CERT });
    expect(classOf(await post(client, `https://receiver.test:${receiver.port}/`))).toBe('too_large');
  });

  const whereOpenssl = spawnSync('openssl', ['version']).status === 0 ? it : it.skip;
  whereOpenssl('should be given up in the tickets of TLS, of which openssl sends many', async () => {
    const server = await startTicketServer();
    const client = clientWith({ timeoutMs: NEVER_MS, ca: RECEIVER_CERT });
    const outcome = await post(client, `https://receiver.test:${server.port}/`);
    server.stop();
    expect(classOf(outcome)).toBe('too_large');
  });

  it('should not be read from a connection that is unused', async () => {
    let written = 0;
    let onClosed = (): void => undefined;
    const closed = new Promise<void>((resolve) => (onClosed = resolve));
    const receiver = await running(
      startTcp((socket) => {
        socket.on('close', () => {
          written = socket.bytesWritten;
          onClosed();
        });
        const answer = 'HTTP/1.1 200 OK\r\nkeep-alive: timeout=30\r\ncontent-length: 0\r\n\r\n';
        socket.once('data', () => flood(socket, answer, '\r\n'));
      }),
    );
    const client = clientWith({ timeoutMs: NEVER_MS });
    expect(classOf(await post(client, `http://receiver.test:${receiver.port}/`))).toBe('response 200');
    await closed;
    // The system's buffers hold some of it.
    expect(written).toBeLessThan(64 * 1_048_576);
  });
});

describe('answers that end', () => {
  /** A connection on which an answer was not read to its end in time is not used again. */
  const PATIENT = { timeoutMs: NEVER_MS, bodyPatienceMs: NEVER_MS };

  it('should be read from one connection however many they are', async () => {
    const receiver = await running(startHttp((_request, response) => void response.end('x'.repeat(60_000))));
    const client = clientWith(PATIENT);
    const url = `http://receiver.test:${receiver.port}/`;
    for (let count = 0; count < 30; count++) expect(classOf(await post(client, url))).toBe('response 200');
    expect(receiver.connections()).toBe(1);
  });

  it('should be read to the end in chunks of one byte', async () => {
    const receiver = await running(
      startTcp((socket) => {
        socket.on('data', () => socket.write(`${CHUNKED}${'1\r\nx\r\n'.repeat(65_536)}0\r\n\r\n`));
      }),
    );
    const client = clientWith(PATIENT);
    const url = `http://receiver.test:${receiver.port}/`;
    for (let count = 0; count < 3; count++) expect(classOf(await post(client, url))).toBe('response 200');
    expect(receiver.connections()).toBe(1);
  });
});
