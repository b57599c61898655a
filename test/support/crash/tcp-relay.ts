import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** One connection through a relay: what comes from one side is given to a handler, which decides what goes on. */
export interface Pair {
  /** The side of the gateway. */
  client: Socket;
  /** The side of Postgres or TensorPix. */
  server: Socket;
}

export interface TcpRelay {
  port: number;
  /** Drops every connection as it is; nothing that was held back arrives. */
  cut(): void;
  close(): Promise<void>;
}

/** What reads a connection's two directions. */
export interface PairHandler {
  fromClient(chunk: Buffer): void;
  fromServer(chunk: Buffer): void;
  /** The server has ended or lost the connection: what was held back for the client is due now. */
  serverEnded(): void;
}

/** Listens on a free port of 127.0.0.1; a connection that one side resets is reset on the other side too. */
export async function startTcpRelay(
  target: { host: string; port: number },
  handle: (pair: Pair) => PairHandler,
): Promise<TcpRelay> {
  const pairs = new Set<Pair>();
  const listener = createServer((client) => {
    const server = connect({ ...target, noDelay: true });
    client.setNoDelay(true);
    const pair = { client, server };
    pairs.add(pair);
    join(pair, handle(pair), () => pairs.delete(pair));
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const { client, server } of pairs) {
      client.destroy();
      server.destroy();
    }
    pairs.clear();
  };
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    cut();
    await closed;
  };
  return { port: (listener.address() as AddressInfo).port, cut, close };
}

function join({ client, server }: Pair, handler: PairHandler, forget: () => void): void {
  client.on('data', (chunk: Buffer) => handler.fromClient(chunk));
  server.on('data', (chunk: Buffer) => handler.fromServer(chunk));
  client.on('end', () => server.end());
  server.on('end', () => {
    handler.serverEnded();
    client.end();
  });
  client.on('error', () => reset(server));
  server.on('error', () => {
    handler.serverEnded();
    reset(client);
  });
  client.on('close', () => {
    server.destroy();
    forget();
  });
  server.on('close', () => client.destroySoon());
}

/** A socket that is connecting or ending cannot be reset: Node would wait for the end of that for ever. */
function reset(socket: Socket): void {
  if (socket.connecting || socket.writableEnded || socket.destroyed) socket.destroy();
  else socket.resetAndDestroy();
}
