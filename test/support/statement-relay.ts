import { MessageReader, readBind, readParse } from './crash/postgres-wire.js';
import { startTcpRelay } from './crash/tcp-relay.js';

/** A statement with parameters that was sent to Postgres, with the text of its Bind message. */
export interface SentStatement {
  sql: string;
  parameters: string;
}

export interface StatementRelay {
  /** The database, by way of the relay. */
  url: string;
  sent: SentStatement[];
  close: () => Promise<void>;
}

/** Stands between a gateway and Postgres, and notes what the one asks of the other. */
export async function startStatementRelay(databaseUrl: string): Promise<StatementRelay> {
  const url = new URL(databaseUrl);
  const sent: SentStatement[] = [];
  const relay = await startTcpRelay({ host: url.hostname, port: Number(url.port) }, ({ client, server }) => {
    const messages = new MessageReader(false);
    const statements = new Map<string, string>();
    return {
      fromClient: (chunk) => {
        for (const message of messages.push(chunk)) {
          if (message.type === 'P') statements.set(readParse(message).name, readParse(message).sql);
          if (message.type !== 'B') continue;
          sent.push({ sql: statements.get(readBind(message)) ?? '', parameters: message.body.toString('latin1') });
        }
        server.write(chunk);
      },
      fromServer: (chunk) => void client.write(chunk),
      serverEnded: () => undefined,
    };
  });
  url.host = `127.0.0.1:${relay.port}`;
  return { url: url.href, sent, close: () => relay.close() };
}
