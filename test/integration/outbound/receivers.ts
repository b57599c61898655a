import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  createServer as createHttp,
  type IncomingMessage,
  type RequestListener,
  type Server as HttpServer,
} from 'node:http';
import { createServer as createHttps } from 'node:https';
import { connect, createServer as createTcp, type Server, type Socket } from 'node:net';
import { createServer as createTls, type TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { parseCidrs } from '../../../src/common/outbound/cidr.js';
import { OutboundClient, type OutboundClientOptions } from '../../../src/common/outbound/outbound-client.js';

const fixture = (name: string): string => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8');

/** The certificate of `startHttps` receivers. */
export const RECEIVER_CERT = fixture('receiver.cert.pem');
const RECEIVER_KEY = fixture('receiver.key.pem');

/** A request as a receiver got it. */
export interface ReceivedRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage['headers'];
  /** As `name: value`, in their order. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly localAddress: string | undefined;
  readonly serverName: string | false | undefined;
}

export interface Receiver {
  readonly port: number;
  readonly received: ReceivedRequest[];
  /** TCP connections accepted so far. */
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

type Answer = RequestListener;

const ok: Answer = (_request, response) => void response.end('ok');

export function startHttp(answer: Answer = ok, host = '127.0.0.1', port = 0): Promise<Receiver> {
  return startRecording((listener) => createHttp(listener), answer, host, port);
}

/** With a certificate for `receiver.test`, `*.receiver.test` and 127.0.0.1. */
export function startHttps(answer: Answer = ok): Promise<Receiver> {
  const tls = { key: RECEIVER_KEY, cert: RECEIVER_CERT };
  return startRecording((listener) => createHttps(tls, listener), answer, '127.0.0.1', 0);
}

/** Speaks whatever the handler writes. */
export function startTcp(onConnection: (socket: Socket) => void): Promise<Receiver> {
  return listen(createTcp(onConnection), [], '127.0.0.1', 0);
}

/** The same over TLS, with the certificate of `startHttps`. */
export function startTls(onConnection: (socket: TLSSocket) => void): Promise<Receiver> {
  return listen(createTls({ key: RECEIVER_KEY, cert: RECEIVER_CERT }, onConnection), [], '127.0.0.1', 0);
}

/** Accepts nothing, and its queue is full: a TCP handshake with it does not end. */
export async function startFull(): Promise<Receiver> {
  const worker = new Worker(LISTEN_AND_SLEEP, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const filling = Array.from({ length: 8 }, () => connect({ host: '127.0.0.1', port }));
  for (const socket of filling) socket.on('error', () => undefined);
  // Their first packets are on the way in the next turn of the loop.
  await new Promise((resolve) => setImmediate(resolve));
  const close = async (): Promise<void> => {
    for (const socket of filling) socket.destroy();
    await worker.terminate();
  };
  return { port, received: [], connections: () => 0, close };
}

const LISTEN_AND_SLEEP = `
  const server = require('node:net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    require('node:worker_threads').parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/** A client that may reach 127.0.0.0/8 over http, and whose names all lead to 127.0.0.1. */
export function localClient(options: Partial<OutboundClientOptions> = {}): OutboundClient {
  return new OutboundClient({
    policy: { allowHttp: true, allowedCidrs: parseCidrs('127.0.0.0/8') },
    timeoutMs: 5_000,
    connectionsPerOrigin: 4,
    userAgent: 'tensorpix-gateway-test',
    lookup: () => Promise.resolve(['127.0.0.1']),
    ...options,
  });
}

function startRecording(
  create: (listener: RequestListener) => HttpServer,
  answer: Answer,
  host: string,
  port: number,
): Promise<Receiver> {
  const received: ReceivedRequest[] = [];
  const server = create((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url: path, headers, socket } = request;
      const rawHeaders = request.rawHeaders.flatMap((name, index, all) =>
        index % 2 ? [] : [`${name}: ${all[index + 1]}`],
      );
      const { localAddress, servername: serverName } = socket as TLSSocket & { servername?: string | false };
      received.push({
        method,
        path,
        headers,
        rawHeaders,
        body: Buffer.concat(chunks).toString('utf8'),
        localAddress,
        serverName,
      });
      answer(request, response);
    });
  });
  return listen(server, received, host, port);
}

async function listen(server: Server, received: ReceivedRequest[], host: string, port: number): Promise<Receiver> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('secureConnection', (socket: TLSSocket) => socket.on('error', () => undefined));
  server.on('connection', (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP server');
  const close = (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return { port: address.port, received, connections: () => connections, close };
}
