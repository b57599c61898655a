/** A message of Postgres's protocol (3.0), whole. */
export interface Message {
  /** One letter; empty for the first message of a client, which has none. */
  type: string;
  /** After type and length. */
  body: Buffer;
  /** The message as it came. */
  bytes: Buffer;
}

const LENGTH_BYTES = 4;
const SSL_REQUEST = 80_877_103;

/** Cuts a stream of one direction into messages, however it was fragmented. */
export class MessageReader {
  private rest: Buffer = Buffer.alloc(0);

  /** @param started false for the direction of the client, whose first message has no type */
  constructor(private started: boolean) {}

  /** The messages that this chunk completes. */
  push(chunk: Buffer): Message[] {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const messages: Message[] = [];
    for (let message = this.take(); message; message = this.take()) messages.push(message);
    return messages;
  }

  private take(): Message | null {
    const typeBytes = this.started ? 1 : 0;
    if (this.rest.length < typeBytes + LENGTH_BYTES) return null;
    const size = typeBytes + this.rest.readInt32BE(typeBytes);
    if (this.rest.length < size) return null;
    const bytes = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(size);
    const body = bytes.subarray(typeBytes + LENGTH_BYTES);
    const type = bytes.toString('latin1', 0, typeBytes);
    if (!this.started && body.readInt32BE(0) === SSL_REQUEST) throw new Error('the relay cannot read TLS');
    this.started = true;
    return { type, body, bytes };
  }
}

/** Parse ('P'): the name of a prepared statement, which may be empty, and its text. */
export function readParse({ body }: Message): { name: string; sql: string } {
  const nameEnd = body.indexOf(0);
  const sqlEnd = body.indexOf(0, nameEnd + 1);
  return { name: body.toString('utf8', 0, nameEnd), sql: body.toString('utf8', nameEnd + 1, sqlEnd) };
}

/** Bind ('B'): the name of the statement that is about to run. */
export function readBind({ body }: Message): string {
  const portalEnd = body.indexOf(0);
  return body.toString('utf8', portalEnd + 1, body.indexOf(0, portalEnd + 1));
}

/** Query ('Q'): the text of a simple query. */
export function readQuery({ body }: Message): string {
  return body.toString('utf8', 0, body.indexOf(0));
}

/** CommandComplete ('C'): `SELECT 3`, `INSERT 0 3`; 0 where the tag has no number. */
export function readRowCount({ body }: Message): number {
  return Number(/ (\d+)\0$/.exec(body.toString('latin1'))?.[1] ?? 0);
}

/** ReadyForQuery ('Z'): whether no transaction is open. */
export function readIsIdle({ body }: Message): boolean {
  return body.toString('latin1') === 'I';
}
