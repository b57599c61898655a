import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { eventually } from '../gateway.js';
import { freePort } from '../ports.js';
import type { Random } from '../crash/random.js';
import { nowMs } from './clock.js';
import type { Ports } from './connections.js';

/** A request that a receiver got. */
export interface Receipt {
  receiver: string;
  connection: Ports;
  /** `webhook-id` */
  id: string;
  /** `webhook-timestamp`: seconds */
  timestamp: string;
  /** null: the sender was gone before all of it was there */
  body: string | null;
  /** What is wrong with the signature. */
  complaint: string | null;
  arrivedAtMs: number;
  /** When it was answered, or the sender was gone; Infinity until then. */
  overAtMs: number;
  /** null: not answered */
  status: number | null;
}

/** Null: the sender may wait. */
type Answer = { status: number; afterMs: number } | null;

/** How a receiver answers its n-th request. */
export type Manner = (number: number, random: Random) => Answer;

const TAKEN: Answer = { status: 204, afterMs: 0 };

export const MANNERS = {
  fast: () => TAKEN,
  slow: (_number, random) => ({ status: 204, afterMs: random.whole(50, 300) }),
  flaky: (number) => (number % 5 === 0 ? { status: 500, afterMs: 0 } : TAKEN),
  silent: (number) => (number % 12 === 0 ? null : TAKEN),
  unavailable: () => ({ status: 503, afterMs: 0 }),
} satisfies Record<string, Manner>;

/** A real HTTP server that takes webhooks in its own manner and notes each request. */
export class CallbackReceiver {
  readonly receipts: Receipt[] = [];
  private server: Server | null = null;
  private port = 0;
  private readonly answers = new Set<NodeJS.Timeout>();

  /** @param secrets by path: who calls there signs with it */
  constructor(
    readonly name: string,
    private manner: Manner,
    private readonly secrets: ReadonlyMap<string, string>,
    private readonly random: Random,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Takes connections: at first on any free port, then on the same again. */
  async open(): Promise<void> {
    // While nobody listens, somebody else may have the port for a moment.
    this.server = await eventually(
      async () => listen((...both) => this.take(...both), this.port || (await freePort())),
      Boolean,
      60_000,
    );
    this.port = (this.server?.address() as AddressInfo).port;
  }

  /** Breaks what is connected, and refuses connections. */
  async refuse(): Promise<void> {
    const { server } = this;
    this.server = null;
    for (const answer of this.answers) clearTimeout(answer);
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  behave(manner: Manner): void {
    this.manner = manner;
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    const { socket, headers } = request;
    const receipt: Receipt = {
      receiver: this.name,
      connection: { from: socket.remotePort ?? 0, to: this.port },
      id: String(headers['webhook-id']),
      timestamp: String(headers['webhook-timestamp']),
      body: null,
      complaint: null,
      arrivedAtMs: nowMs(),
      overAtMs: Infinity,
      status: null,
    };
    this.receipts.push(receipt);
    const number = this.receipts.length;
    const settle = whenOver(socket, () => (receipt.overAtMs = nowMs()));
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      receipt.body = Buffer.concat(chunks).toString();
      receipt.complaint = this.complaintAbout(request, receipt.body);
      const answer = this.manner(number, this.random);
      if (!answer) return;
      const respond = (): void => {
        if (receipt.overAtMs < Infinity) return;
        receipt.status = answer.status;
        settle();
        response.writeHead(answer.status).end();
      };
      if (answer.afterMs === 0) return respond();
      const later = setTimeout(() => {
        this.answers.delete(later);
        respond();
      }, answer.afterMs);
      this.answers.add(later);
    });
  }

  private complaintAbout({ url, headers }: IncomingMessage, body: string): string | null {
    const secret = this.secrets.get(url ?? '');
    if (secret === undefined) return `nobody calls ${url}`;
    try {
      new Webhook(secret).verify(body, headers as Record<string, string>);
      return null;
    } catch (error) {
      return String(error);
    }
  }
}

/** Calls back once, when the sender is gone or the returned function says so: `end` is the first that is seen of the former. */
function whenOver(socket: Socket, callback: () => void): () => void {
  const events = ['end', 'error', 'close'];
  const over = (): void => {
    for (const event of events) socket.off(event, over);
    callback();
  };
  for (const event of events) socket.once(event, over);
  return over;
}

/** Null while the port is taken. */
async function listen(
  take: (request: IncomingMessage, response: ServerResponse) => void,
  port: number,
): Promise<Server | null> {
  const server = createServer(take);
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return null;
  }
}
