import { request as httpRequest, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { eventually } from './gateway.js';

/** An event as it was sent. */
export interface SentEvent {
  id: string;
  event: string;
  data: string;
}

/** A reader of one stream, which shows what was sent as it was sent, and does not come back by itself. */
export class EventReader {
  status = 0;
  headers: IncomingHttpHeaders = {};
  text = '';
  readonly events: SentEvent[] = [];
  private unread = '';
  /** `end`: the answer was complete. */
  over: 'end' | 'cut' | null = null;

  constructor(
    private readonly request: ClientRequest,
    private readonly response: IncomingMessage,
  ) {
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.take(chunk));
    response.on('error', () => undefined);
    response.on('end', () => (this.over ??= 'end'));
    response.on('close', () => (this.over ??= 'cut'));
  }

  get ids(): number[] {
    return this.events.map(({ id }) => Number(id));
  }

  get json(): Record<string, unknown> {
    return JSON.parse(this.text) as Record<string, unknown>;
  }

  async untilOver(): Promise<this> {
    await eventually(() => this.over, Boolean);
    return this;
  }

  async untilEvents(count: number): Promise<this> {
    await eventually(
      () => this.ids,
      (ids) => ids.length >= count,
    );
    return this;
  }

  hangUp(): void {
    this.request.destroy();
  }

  private take(chunk: string): void {
    this.text += chunk;
    const blocks = (this.unread + chunk).split('\n\n');
    this.unread = blocks.pop() ?? '';
    this.events.push(...blocks.filter((block) => block.startsWith('id: ')).map(readEvent));
  }
}

/** `GET` with `Accept: text/event-stream`, on a connection of its own. */
export function openEvents(url: string, headers: Record<string, string>, method = 'GET'): Promise<EventReader> {
  return new Promise((resolve, reject) => {
    const all = { accept: 'text/event-stream', ...headers };
    const request = httpRequest(url, { method, headers: all, agent: false });
    request.on('response', (response) => resolve(new EventReader(request, response)));
    request.on('error', reject);
    request.end();
  });
}

function readEvent(block: string): SentEvent {
  const fields = block.split('\n').map((line): [string, string] => {
    const colon = line.indexOf(': ');
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  if (fields.map(([name]) => name).join() !== 'id,event,data') throw new Error(`an odd event: ${block}`);
  return Object.fromEntries(fields) as unknown as SentEvent;
}
