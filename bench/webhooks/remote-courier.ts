import { call } from '../support/remote-calls.js';
import { startServer, type ServerProcess, type SpawnOptions } from '../support/server-process.js';
import type { Contestant } from './contestants.js';
import type { CourierEnvironment, Trickle } from './courier.js';
import type { Delivery } from './delivery.js';

/** A courier's process as the benchmark sees it. */
export class RemoteCourier {
  private constructor(
    private readonly process: ServerProcess,
    /** `whsec_…` */
    readonly secret: string,
  ) {}

  static async start(
    { name }: Contestant,
    { databaseUrl, redisUrl, secret }: CourierEnvironment,
    options: SpawnOptions,
  ): Promise<RemoteCourier> {
    const program = {
      name,
      args: () => ['--expose-gc', '--import', 'tsx', 'bench/webhooks/courier-process.ts'],
      env: (port: number) => ({
        PORT: String(port),
        CONTESTANT: name,
        DATABASE_URL: databaseUrl,
        REDIS_URL: redisUrl,
        WEBHOOK_SECRET: secret,
      }),
      probe: '/',
    };
    const process = await startServer(program, options);
    return new RemoteCourier(process, await call<string>(process.url, 'secret'));
  }

  get pid(): number {
    return this.process.pid;
  }

  clear(): Promise<null> {
    return call(this.process.url, 'clear');
  }

  enqueueAll(deliveries: Delivery[]): Promise<null> {
    return call(this.process.url, 'enqueueAll', deliveries);
  }

  /** @returns the monotonic time just before */
  start(): Promise<number> {
    return call<number>(this.process.url, 'start');
  }

  /** @returns for each delivery the monotonic time from which it waited to be sent */
  trickle(trickle: Trickle): Promise<number[]> {
    return call<number[]>(this.process.url, 'trickle', trickle);
  }

  stop(): Promise<null> {
    return call(this.process.url, 'stop');
  }

  countLeft(): Promise<number> {
    return call<number>(this.process.url, 'countLeft');
  }

  /** Ends the process. */
  async end(): Promise<void> {
    await this.process.stop();
  }
}
