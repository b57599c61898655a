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

/** Answers to statements in which this text stands come so much later. */
export interface Late {
  text: string;
  ms: number;
}

/** Stands between a gateway and Postgres, and notes what the one asks of the other. */
export async function startStatementRelay(databaseUrl: string, late?: Late): Promise<StatementRelay> {
  const url = new URL(databaseUrl);
  const sent: SentStatement[] = [];
  const relay = await startTcpRelay({ host: url.hostname, port: Number(url.port) }, ({ client, server }) => {
    const messages = new MessageReader(false);
    const statements = new Map<string, string>();
    let answers = Promise.resolve();
    return {
      fromClient: (chunk) => {
        for (const message of messages.push(chunk)) {
          if (message.type === 'P') statements.set(readParse(message).name, readParse(message).sql);
          if (message.type !== 'B') continue;
          const sql = statements.get(readBind(message)) ?? '';
          sent.push({ sql, parameters: message.body.toString('latin1') });
          if (late && sql.includes(late.text))
            answers = answers.then(() => new Promise((resolve) => setTimeout(resolve, late.ms)));
        }
        server.write(chunk);
      },
      fromServer: (chunk) => {
        answers = answers.then(() => void client.write(chunk));
      },
      serverEnded: () => undefined,
    };
  });
  url.host = `127.0.0.1:${relay.port}`;
  return { url: url.href, sent, close: () => relay.close() };
}
