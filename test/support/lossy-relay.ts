import { MessageReader, readBind, readParse } from './crash/postgres-wire.js';
import { startTcpRelay } from './crash/tcp-relay.js';

/** Whether the answers to some statement get lost. */
export interface Losses {
  /** statements that are lost from now on */
  next: number;
  /** so many were done, and their connections broken before anything of it was heard */
  lost: number;
}

export interface LossyRelay {
  /** The database, by way of the relay. */
  url: string;
  losses: Losses;
  close: () => Promise<void>;
}

/** Stands between a gateway and Postgres, and breaks connections on which a statement with this text was done. */
export async function startLossyRelay(databaseUrl: string, text: string): Promise<LossyRelay> {
  const url = new URL(databaseUrl);
  const losses: Losses = { next: 0, lost: 0 };
  const relay = await startTcpRelay({ host: url.hostname, port: Number(url.port) }, ({ client, server }) => {
    const asked = new MessageReader(false);
    const answered = new MessageReader(true);
    const statements = new Map<string, string>();
    let loses = false;
    return {
      fromClient: (chunk) => {
        for (const message of asked.push(chunk)) {
          if (message.type === 'P') statements.set(readParse(message).name, readParse(message).sql);
          if (message.type !== 'B' || losses.next === 0 || !statements.get(readBind(message))?.includes(text)) continue;
          losses.next -= 1;
          loses = true;
        }
        server.write(chunk);
      },
      fromServer: (chunk) => {
        if (!loses) return void client.write(chunk);
        // Ready for the next query: this one is committed.
        if (!answered.push(chunk).some(({ type }) => type === 'Z')) return;
        losses.lost += 1;
        client.destroy();
      },
      serverEnded: () => undefined,
    };
  });
  url.host = `127.0.0.1:${relay.port}`;
  return { url: url.href, losses, close: () => relay.close() };
}
