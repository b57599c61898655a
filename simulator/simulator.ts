import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SimulatorControl } from './control.js';
import { FaultBook } from './faults.js';
import { DEFAULT_OPTIONS, type SimulatorOptions } from './options.js';
import { RequestHandler } from './request-handler.js';
import { SimulatorState } from './state.js';

/** A running TensorPix on this machine. */
export interface Simulator {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  readonly state: SimulatorState;
  readonly control: SimulatorControl;
  /** Cuts all connections, also those that wait for an answer. */
  close(): Promise<void>;
}

/** Starts a simulator; by default on a free port of 127.0.0.1, with one account for the token `demo-token`. */
export async function startSimulator(options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
  const settings: SimulatorOptions = { ...DEFAULT_OPTIONS, ...options };
  const state = new SimulatorState(settings);
  const faults = new FaultBook(settings.seed);
  const control = new SimulatorControl(state, faults);
  const handler = new RequestHandler(state, faults, control);
  // Longer than a client keeps idle connections, so that a reset only happens when a fault asks for it.
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
    handler.handle(request, response).catch((error: unknown) => {
      if (request.destroyed || response.destroyed) return;
      console.error('simulator: a request failed', error);
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(settings.port, settings.host, 4_096, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      handler.close();
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return { url: `http://${host}:${port}`, port, state, control, close };
}
