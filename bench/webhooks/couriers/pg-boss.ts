import PgBoss from 'pg-boss';
import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { WebhookSender } from '../webhook-sender.js';
import { PgBossPump, QUEUE } from './pg-boss-pump.js';

/** One attempt, as for everybody. */
const NO_RETRIES = { retryLimit: 0 };

/** (c) pg-boss, driven through `fetch`, `complete` and `fail` in batches. */
class PgBossCourier implements Courier {
  readonly secret: string;
  private running: { pump: PgBossPump; sender: WebhookSender } | null = null;

  constructor(
    { secret }: CourierEnvironment,
    private readonly boss: PgBoss,
  ) {
    this.secret = secret;
  }

  async clear(): Promise<void> {
    await this.boss.clearStorage();
  }

  async enqueueAll(deliveries: Delivery[]): Promise<void> {
    await this.boss.insert(deliveries.map((data) => ({ name: QUEUE, data, ...NO_RETRIES })));
  }

  async start(): Promise<void> {
    const sender = new WebhookSender(this.secret);
    const pump = new PgBossPump(this.boss, (delivery) => sender.send(delivery));
    pump.start();
    this.running = { pump, sender };
  }

  async enqueue(delivery: Delivery): Promise<number> {
    await this.boss.send(QUEUE, delivery, NO_RETRIES);
    const nowMs = monotonicMs();
    this.running?.pump.wake();
    return nowMs;
  }

  async stop(): Promise<void> {
    await this.running?.pump.stop();
    await this.running?.sender.close();
    this.running = null;
  }

  async countLeft(): Promise<number> {
    return this.boss.getQueueSize(QUEUE, { before: 'completed' });
  }
}

export async function createCourier(environment: CourierEnvironment): Promise<Courier> {
  const boss = new PgBoss({ connectionString: environment.databaseUrl, schedule: false });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE);
  return new PgBossCourier(environment, boss);
}
