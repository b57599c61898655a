import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that went through a relay, and what was answered. */
export interface Relayed {
  method: string;
  path: string;
  body: string;
  status: number;
  answer: string;
  /** Prism's own remarks; those about the request are violations of the document. */
  violations: string;
}

export interface Relay {
  url: string;
  relayed: Relayed[];
  close: () => Promise<void>;
}

/** Stands between a client and a server on this machine, notes what passes, and may rewrite the answers. */
export async function startRelay(target: string, rewrite: (exchange: Relayed) => string): Promise<Relay> {
  const relayed: Relayed[] = [];
  let isOpen = true;
  const server = createServer((request, response) => {
    relay(target, request, response, rewrite, () => isOpen).then(
      (exchange) => relayed.push(exchange),
      // The server behind is away, or the client is.
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      isOpen = false;
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, relayed, close };
}

async function relay(
  target: string,
  request: IncomingMessage,
  response: ServerResponse,
  rewrite: (exchange: Relayed) => string,
  isOpen: () => boolean,
): Promise<Relayed> {
  const body = await textOf(request);
  const { method = 'GET', url: path = '/' } = request;
  const answer = await sendAgainIfReset(() => send(`${target}${path}`, method, request, body), isOpen);
  const exchange: Relayed = {
    method,
    path,
    body,
    status: answer.statusCode ?? 0,
    answer: await textOf(answer),
    violations: String(answer.headers['sl-violations'] ?? ''),
  };
  response.writeHead(exchange.status, { 'content-type': 'application/json' });
  response.end(exchange.status === 204 ? undefined : rewrite(exchange));
  return exchange;
}

/** The server behind is a mock without memory: a connection that it drops while it starts is worth another try. */
async function sendAgainIfReset(
  attempt: () => Promise<IncomingMessage>,
  isOpen: () => boolean,
): Promise<IncomingMessage> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 5 || !isOpen()) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * tries));
    }
  }
}

function send(url: string, method: string, { headers }: IncomingMessage, body: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host: _host, ...passed } = headers;
    httpRequest(url, { method, headers: passed, agent: false }, resolve).on('error', reject).end(body);
  });
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
