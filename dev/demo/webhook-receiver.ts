import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

/** A webhook as a careful receiver sees it. */
export interface ReceivedWebhook {
  /** `webhook-id`: the same at every attempt. */
  id: string;
  type: string;
  jobId: string;
  externalId: string | null;
  sequence: number;
  /** Whether the signature is that of the tenant's secret, and recent. Nothing else here is to be believed without. */
  verified: boolean;
  /** `repeat`: the same webhook once more, which at-least-once allows; `late`: its sequence is not above the one before. */
  order: 'in order' | 'repeat' | 'late';
}

/** Whether the gateway says that it has sent this webhook, signed with another secret of the tenant. */
export type AskGateway = (headers: IncomingHttpHeaders, body: string) => Promise<boolean>;

export interface WebhookReceiver {
  url: string;
  /** Those of callback URLs. */
  received: ReceivedWebhook[];
  /** Sets the secret of the signatures, and whom to ask about others; before, nothing verifies. */
  trust: (secret: string, ask?: AskGateway) => void;
  close: () => Promise<void>;
}

/** Contract, section 7: bodies stay under 20 kB. */
const MAX_BODY_BYTES = 64_000;

/** What became of a webhook. `elsewhere`: it is signed with the secret of a standing endpoint, or one that is newer. */
export type Judged = ReceivedWebhook & { elsewhere: boolean };

/** Starts what a customer has to have: an HTTP server that verifies (with the reference library) and answers at once. */
export async function startWebhookReceiver(onWebhook: (webhook: Judged) => void): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  let verifier: Webhook | null = null;
  let ask: AskGateway = () => Promise.resolve(false);
  const server = createServer((request, response) => {
    const take = async (): Promise<void> => {
      const body = await readBody(request);
      const webhook = judge(request.headers, body, verifier, received);
      const elsewhere = !webhook.verified && (await ask(request.headers, body).catch(() => false));
      if (!elsewhere) received.push(webhook);
      onWebhook({ ...webhook, elsewhere });
      response.writeHead(webhook.verified || elsewhere ? 204 : 401).end();
    };
    take().catch(() => request.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const trust = (secret: string, askGateway: AskGateway = ask): void => {
    verifier = new Webhook(secret);
    ask = askGateway;
  };
  return { url: `http://127.0.0.1:${port}/webhooks`, received, trust, close };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('the body is too large for a webhook');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function judge(
  headers: IncomingHttpHeaders,
  body: string,
  verifier: Webhook | null,
  before: readonly ReceivedWebhook[],
): ReceivedWebhook {
  const id = String(headers['webhook-id']);
  const claims = readClaims(body);
  const earlier = before.filter(({ jobId, verified }) => verified && jobId === claims.jobId);
  const lastSequence = Math.max(0, ...earlier.map(({ sequence }) => sequence));
  const repeated = earlier.some((webhook) => webhook.id === id);
  const order = repeated ? 'repeat' : claims.sequence > lastSequence ? 'in order' : 'late';
  return { id, ...claims, verified: verifies(headers, body, verifier), order };
}

/** Over the exact bytes that came: a body that was parsed and written again would be another. */
function verifies(headers: IncomingHttpHeaders, body: string, verifier: Webhook | null): boolean {
  try {
    return verifier?.verify(body, headers as Record<string, string>) !== undefined;
  } catch {
    return false;
  }
}

function readClaims(body: string): Pick<ReceivedWebhook, 'type' | 'jobId' | 'externalId' | 'sequence'> {
  try {
    const { type, data } = JSON.parse(body) as {
      type: string;
      data: { id: string; external_id: string | null; sequence: number };
    };
    return { type, jobId: data.id, externalId: data.external_id, sequence: data.sequence };
  } catch {
    return { type: 'unreadable', jobId: 'unknown', externalId: null, sequence: 0 };
  }
}
