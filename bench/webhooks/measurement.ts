import { setTimeout as delay } from 'node:timers/promises';
import { median, percentile } from '../support/load.js';
import { watchUsage, type Usage } from '../support/process-usage.js';
import { makeDeliveries, type Delivery } from './delivery.js';
import type { Entrant } from './line-up.js';
import type { Receiver } from './receiver.js';
import type { Receipts } from './receipt-recorder.js';
import { LIGHT_PER_SECOND, LIGHT_SECONDS, type Scenario } from './settings.js';
import { tallyUp, type Sent, type Tally } from './verification.js';

/** Figures of a backlog. Those of time are of deliveries to healthy receivers, the others of all. */
export interface BacklogFigures {
  perSecond: number;
  /** From the start, when all were due, to the receipt: mostly waiting for one's turn. */
  p50Ms: number;
  p99Ms: number;
  /** CPU seconds per 1,000 deliveries, which is milliseconds a delivery. */
  processCpu: number;
  storeCpu: number;
  /** The same of the receivers: what a contestant cannot save. */
  receiverCpu: number;
  /** Opened per 1,000 deliveries. */
  connections: number;
  residentMiB: number;
}

/** From the commit to the receipt. */
export interface LightFigures {
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
}

export interface Measured<Figures> {
  figures: Figures;
  tally: Tally;
}

/** Until then a worker that was just started has connected and listens. */
const LIGHT_LEAD_MS = 500;

/** Everything is due at once: enqueues all, then starts and waits until all have come and been recorded. */
export async function measureBacklog(
  entrant: Entrant,
  receiver: Receiver,
  scenario: Scenario,
  count: number,
): Promise<Measured<BacklogFigures>> {
  const { courier, contestant } = entrant;
  const deliveries = makeDeliveries(count, scenario.origins(receiver.origins));
  const sent = splitByHealth(deliveries, receiver);
  await courier.clear();
  await courier.enqueueAll(deliveries);
  await entrant.store?.tidy();
  await receiver.begin({ healthy: sent.healthy.length, dead: sent.dead.length });
  const usages = [watchUsage(courier.pid, entrant.store?.pid ?? null), watchUsage(receiver.pid, null)] as const;
  const startedMs = await courier.start();
  const complete = await receiver.untilComplete('healthy');
  if (complete && contestant.deadReceivers === 'attempted') await receiver.untilComplete('dead');
  await courier.stop();
  const [used, receiving] = [usages[0].stop(), usages[1].stop()];
  const receipts = await receiver.end();
  return {
    figures: backlogFigures(receipts, startedMs, used, receiving),
    tally: tallyUp(entrant, sent, receipts, await courier.countLeft()),
  };
}

/** Deliveries become due one by one, and each is sent before the next. */
export async function measureLight(
  entrant: Entrant,
  receiver: Receiver,
  most: number,
): Promise<Measured<LightFigures>> {
  const { courier } = entrant;
  const count = Math.min(most, LIGHT_PER_SECOND * LIGHT_SECONDS);
  const deliveries = makeDeliveries(count, receiver.origins.fast);
  await courier.clear();
  await entrant.store?.tidy();
  await receiver.begin({ healthy: count, dead: 0 });
  await courier.start();
  await delay(LIGHT_LEAD_MS);
  const waitingSinceMs = await courier.trickle({ deliveries, perSecond: LIGHT_PER_SECOND });
  await receiver.untilComplete('healthy');
  await courier.stop();
  const receipts = await receiver.end();
  const receivedMs = new Map(receipts.healthy.ids.map((id, index) => [id, receipts.healthy.atMs[index]!]));
  const latenciesMs = deliveries.map(({ id }, index) => (receivedMs.get(id) ?? Number.NaN) - waitingSinceMs[index]!);
  const ascending = latenciesMs.filter((ms) => !Number.isNaN(ms)).sort((a, b) => a - b);
  const sent = { healthy: deliveries, dead: [] };
  return {
    figures: {
      p50Ms: percentile(ascending, 0.5),
      p95Ms: percentile(ascending, 0.95),
      p99Ms: percentile(ascending, 0.99),
    },
    tally: tallyUp(entrant, sent, receipts, await courier.countLeft()),
  };
}

/** The medians of the rounds, figure by figure. */
export function summarize<Figures extends Record<keyof Figures, number>>(rounds: Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {}) as (keyof Figures)[];
  return Object.fromEntries(names.map((name) => [name, median(rounds.map((figures) => figures[name]))])) as Figures;
}

function splitByHealth(deliveries: Delivery[], { origins }: Receiver): Sent {
  const isDead = ({ url }: Delivery) => origins.dead.includes(new URL(url).origin);
  return { healthy: deliveries.filter((delivery) => !isDead(delivery)), dead: deliveries.filter(isDead) };
}

function backlogFigures(
  { healthy, dead, connections }: Receipts,
  startedMs: number,
  usage: Usage,
  receiving: Usage,
): BacklogFigures {
  const waitedMs = healthy.atMs.map((atMs) => atMs - startedMs);
  const thousands = (healthy.ids.length + dead.ids.length) / 1_000;
  return {
    perSecond: (healthy.ids.length / (waitedMs.at(-1) ?? Number.NaN)) * 1_000,
    p50Ms: percentile(waitedMs, 0.5),
    p99Ms: percentile(waitedMs, 0.99),
    processCpu: usage.processCpuSeconds / thousands,
    storeCpu: usage.storeCpuSeconds / thousands,
    receiverCpu: receiving.processCpuSeconds / thousands,
    connections: connections / thousands,
    residentMiB: usage.residentBytes / 1_024 ** 2,
  };
}
