import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { IN_FLIGHT } from '../settings.js';
import { WebhookSender } from '../webhook-sender.js';

/** (a) Signs and POSTs what lies in an array: all that a store costs is what the others do more. */
class Ceiling implements Courier {
  readonly secret: string;
  private sender: WebhookSender;
  private waiting: Delivery[] = [];
  private readonly underWay = new Set<Promise<void>>();

  constructor({ secret }: CourierEnvironment) {
    this.secret = secret;
    this.sender = new WebhookSender(secret);
  }

  async clear(): Promise<void> {
    this.waiting = [];
  }

  async enqueueAll(deliveries: Delivery[]): Promise<void> {
    this.waiting = deliveries;
  }

  async start(): Promise<void> {
    this.sender = new WebhookSender(this.secret);
    const queue = this.waiting.values();
    for (let lane = 0; lane < IN_FLIGHT; lane += 1) this.track(this.work(queue));
  }

  /** The bare POST: its latency counts from the moment before it. */
  async enqueue(delivery: Delivery): Promise<number> {
    const nowMs = monotonicMs();
    this.track(this.attempt(delivery));
    return nowMs;
  }

  async stop(): Promise<void> {
    await Promise.all(this.underWay);
    await this.sender.close();
  }

  async countLeft(): Promise<number> {
    return this.underWay.size;
  }

  private async work(queue: Iterator<Delivery, unknown>): Promise<void> {
    for (let next = queue.next(); next.done !== true; next = queue.next()) await this.attempt(next.value);
  }

  private attempt(delivery: Delivery): Promise<void> {
    return this.sender.send(delivery).catch(() => undefined);
  }

  private track(work: Promise<void>): void {
    const tracked = work.finally(() => this.underWay.delete(tracked));
    this.underWay.add(tracked);
  }
}

export async function createCourier(environment: CourierEnvironment): Promise<Courier> {
  return new Ceiling(environment);
}
