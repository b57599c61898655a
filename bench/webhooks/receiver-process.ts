/**
 * The receivers of all scenarios in one process: a port for each, which is an origin of its own and answers at once, after
 * a while, or never. It notes what comes. Environment: PORT, on which it is told what to do (support/remote-calls.ts).
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveCalls } from '../support/remote-calls.js';
import { ReceiptRecorder, type Expectation, type Receipts } from './receipt-recorder.js';
import { ORIGINS, SLOW_ANSWER_MS, type ReceiverOrigins } from './settings.js';

const recorder = new ReceiptRecorder();

type Answer = (response: ServerResponse) => void;

const answerAtOnce: Answer = (response) => void response.writeHead(204).end();
const answerLate: Answer = (response) => void setTimeout(answerAtOnce, SLOW_ANSWER_MS, response);
const answerNever: Answer = () => undefined;

/** @returns the origin */
async function listen(kind: keyof Expectation, answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    const id = String(request.headers['webhook-id']);
    if (recorder.wantsSample()) keepSample(request);
    else request.resume();
    request.once('end', () => {
      recorder.noteReceipt(kind, id);
      answer(response);
    });
  });
  // Idle connections are the sender's to close: a request sent into one that ends here would look like a lost delivery.
  server.keepAliveTimeout = 0;
  server.on('connection', () => recorder.noteConnection());
  server.listen(0, '127.0.0.1', 1_024);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function keepSample(request: IncomingMessage): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.once('end', () => {
    const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
    const headers = Object.fromEntries(names.map((name) => [name, String(request.headers[name])]));
    recorder.keepSample({ headers, body: Buffer.concat(chunks).toString('utf8') });
  });
}

function listenAll(count: number, kind: keyof Expectation, answer: Answer): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => listen(kind, answer)));
}

const origins: ReceiverOrigins = {
  fast: await listenAll(ORIGINS, 'healthy', answerAtOnce),
  slow: await listenAll(ORIGINS, 'healthy', answerLate),
  dead: await listenAll(1, 'dead', answerNever),
};

process.once('SIGTERM', () => process.exit(0));
await serveCalls(Number(process.env.PORT), {
  origins: async () => origins,
  begin: async (expected: Expectation) => recorder.begin(expected),
  untilComplete: (kind: keyof Expectation) => recorder.untilComplete(kind),
  end: async (): Promise<Receipts> => recorder.end(),
});
