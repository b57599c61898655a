import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { IN_FLIGHT } from '../settings.js';
import { WebhookSender } from '../webhook-sender.js';

const QUEUE = 'deliveries';
const JOB = 'deliver';
const BULK = 1_000;

/** One attempt, as for everybody, and nothing is kept: finished jobs would only fill the memory. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true };

/** (d) BullMQ. */
class BullMq implements Courier {
  readonly secret: string;
  private running: { worker: Worker<Delivery>; sender: WebhookSender } | null = null;

  constructor(
    { secret }: CourierEnvironment,
    private readonly connection: Redis,
    private readonly queue: Queue<Delivery>,
  ) {
    this.secret = secret;
  }

  async clear(): Promise<void> {
    await this.connection.flushdb();
  }

  async enqueueAll(deliveries: Delivery[]): Promise<void> {
    for (let from = 0; from < deliveries.length; from += BULK) {
      const bulk = deliveries.slice(from, from + BULK);
      await this.queue.addBulk(bulk.map((data) => ({ name: JOB, data, opts: JOB_OPTIONS })));
    }
  }

  async start(): Promise<void> {
    const sender = new WebhookSender(this.secret);
    const worker = new Worker<Delivery>(QUEUE, ({ data }) => sender.send(data), {
      connection: this.connection,
      concurrency: IN_FLIGHT,
    });
    // Without a listener an error would end the process; failed attempts are not errors of this kind.
    worker.on('error', (error) => console.error(error));
    this.running = { worker, sender };
  }

  async enqueue(delivery: Delivery): Promise<number> {
    await this.queue.add(JOB, delivery, JOB_OPTIONS);
    return monotonicMs();
  }

  async stop(): Promise<void> {
    await this.running?.worker.close();
    await this.running?.sender.close();
    this.running = null;
  }

  async countLeft(): Promise<number> {
    const counts = await this.queue.getJobCounts();
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }
}

export async function createCourier(environment: CourierEnvironment): Promise<Courier> {
  const connection = new Redis(environment.redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue<Delivery>(QUEUE, { connection });
  await queue.waitUntilReady();
  return new BullMq(environment, connection, queue);
}
