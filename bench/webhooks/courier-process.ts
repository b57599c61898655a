/**
 * A courier in a process of its own, told what to do by calls (support/remote-calls.ts). Environment: CONTESTANT, PORT,
 * DATABASE_URL, REDIS_URL, WEBHOOK_SECRET.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { monotonicMs } from '../support/monotonic-clock.js';
import { serveCalls } from '../support/remote-calls.js';
import { CONTESTANTS } from './contestants.js';
import type { Courier, Trickle } from './courier.js';
import type { Delivery } from './delivery.js';

const { CONTESTANT, PORT, DATABASE_URL = '', REDIS_URL = '', WEBHOOK_SECRET = '' } = process.env;
const contestant = CONTESTANTS.find(({ name }) => name === CONTESTANT);
if (!contestant) throw new Error(`no such contestant: ${CONTESTANT}`);
const { createCourier } = await contestant.load();
const courier = await createCourier({ databaseUrl: DATABASE_URL, redisUrl: REDIS_URL, secret: WEBHOOK_SECRET });

/** @returns the monotonic time just before */
async function start(): Promise<number> {
  // What enqueueing has left behind is not collected at the cost of what is measured, and does not count as its memory.
  globalThis.gc?.();
  const nowMs = monotonicMs();
  await courier.start();
  return nowMs;
}

/** @returns for each delivery the monotonic time from which it waited */
async function trickle(to: Courier, { deliveries, perSecond }: Trickle): Promise<number[]> {
  const startMs = monotonicMs();
  const waitingSinceMs: Promise<number>[] = [];
  for (const [index, delivery] of deliveries.entries()) {
    const earlyMs = startMs + (index * 1_000) / perSecond - monotonicMs();
    if (earlyMs > 0) await delay(earlyMs);
    waitingSinceMs.push(to.enqueue(delivery));
  }
  return Promise.all(waitingSinceMs);
}

// Exits as usual, so that a CPU profile gets written.
process.once('SIGTERM', () => process.exit(0));
await serveCalls(Number(PORT), {
  secret: async () => courier.secret,
  clear: () => courier.clear(),
  enqueueAll: (deliveries: Delivery[]) => courier.enqueueAll(deliveries),
  start,
  trickle: (wanted: Trickle) => trickle(courier, wanted),
  stop: () => courier.stop(),
  countLeft: () => courier.countLeft(),
});
