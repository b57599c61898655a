import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** What a process of a benchmark can be told to do. Arguments and results survive JSON. */
export type Methods = Record<string, (argument: never) => Promise<unknown>>;

/** Serves the methods on 127.0.0.1, each as `POST /<name>`. Any other request is answered too: the process is ready. */
export async function serveCalls(port: number, methods: Methods): Promise<void> {
  const server = createServer((request, response) => {
    answer(request, response, methods).catch((error: unknown) => {
      console.error(error);
      response.writeHead(500).end(error instanceof Error ? error.message : 'failed');
    });
  });
  // A call lasts as long as what it waits for.
  server.requestTimeout = 0;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

/** @throws Error with the message of the other process */
export async function call<Result = null>(url: string, method: string, argument: unknown = null): Promise<Result> {
  const response = await fetch(`${url}/${method}`, { method: 'POST', body: JSON.stringify(argument) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} at ${url}: ${text}`);
  return JSON.parse(text) as Result;
}

async function answer(request: IncomingMessage, response: ServerResponse, methods: Methods): Promise<void> {
  const method = methods[request.url?.slice(1) ?? ''];
  if (request.method !== 'POST' || !method) {
    response.writeHead(404).end();
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const argument = JSON.parse(Buffer.concat(chunks).toString('utf8')) as never;
  const result = await method(argument);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result ?? null));
}
