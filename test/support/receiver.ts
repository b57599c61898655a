import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A webhook as a receiver got it. */
export interface ReceivedWebhook {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  json: {
    type: string;
    timestamp: string;
    data: Record<string, unknown> & { id: string; sequence: number; status: string };
  };
}

/** A real HTTP server that takes webhooks and answers as it is told. */
export interface Receiver {
  url: string;
  received: ReceivedWebhook[];
  /** How the next webhooks are answered; 204 by default. */
  answer: (respond: (webhook: ReceivedWebhook, response: ServerResponse) => void) => void;
  types: (jobId?: string) => string[];
  close: () => Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const received: ReceivedWebhook[] = [];
  let respond = (_: ReceivedWebhook, response: ServerResponse): void => void response.writeHead(204).end();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const webhook = {
        path: request.url ?? '',
        headers: request.headers,
        body,
        json: JSON.parse(body) as ReceivedWebhook['json'],
      };
      received.push(webhook);
      respond(webhook, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    answer: (next) => (respond = next),
    types: (jobId) =>
      received.filter(({ json }) => jobId === undefined || json.data.id === jobId).map(({ json }) => json.type),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
