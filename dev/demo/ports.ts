import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { DemoError } from './options.js';

const USUAL_PORT = 3_000;

/**
 * A free port of 127.0.0.1: the wanted one; without a wish the usual one, or any if that is taken.
 * @throws DemoError when the wanted one is taken
 */
export async function choosePort(wanted: number | null): Promise<number> {
  if (wanted === null) return (await tryPort(USUAL_PORT)) ?? (await choosePort(0));
  const port = await tryPort(wanted);
  if (port === null) throw new DemoError(`Port ${wanted} is taken or not allowed: choose another with --port.`);
  return port;
}

/** Null when it cannot be had. */
async function tryPort(port: number): Promise<number | null> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const { port: free } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return free;
  } catch {
    return null;
  }
}
