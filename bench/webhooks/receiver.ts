import { call } from '../support/remote-calls.js';
import { startServer, type ServerProcess, type SpawnOptions } from '../support/server-process.js';
import type { Expectation, Receipts } from './receipt-recorder.js';
import type { ReceiverOrigins } from './settings.js';

/** The receivers' process as the benchmark sees it. */
export class Receiver {
  private constructor(
    private readonly process: ServerProcess,
    readonly origins: ReceiverOrigins,
  ) {}

  static async start(options: SpawnOptions): Promise<Receiver> {
    const program = {
      name: 'receiver',
      args: () => ['--import', 'tsx', 'bench/webhooks/receiver-process.ts'],
      env: (port: number) => ({ PORT: String(port) }),
      probe: '/',
    };
    const process = await startServer(program, options);
    return new Receiver(process, await call<ReceiverOrigins>(process.url, 'origins'));
  }

  get pid(): number {
    return this.process.pid;
  }

  /** Forgets what came before. */
  begin(expected: Expectation): Promise<null> {
    return call(this.process.url, 'begin', expected);
  }

  /** True when all have come, false when no more seem to. */
  untilComplete(kind: keyof Expectation): Promise<boolean> {
    return call<boolean>(this.process.url, 'untilComplete', kind);
  }

  end(): Promise<Receipts> {
    return call<Receipts>(this.process.url, 'end');
  }

  async stop(): Promise<void> {
    await this.process.stop();
  }
}
