import { groupBy } from '../crash/group-by.js';
import type { Receipt } from './callback-receiver.js';
import type { Connections, Instance } from './connections.js';
import { findExcess, type Excess } from './excess.js';
import { findOverlaps, isSentLate } from './overlaps.js';
import type { AttemptRow, DeliveryRow } from './records.js';

/** All that is known when nothing is under way any more. */
export interface Evidence {
  deliveries: readonly DeliveryRow[];
  attempts: readonly AttemptRow[];
  receipts: readonly Receipt[];
  connections: Connections;
}

/** A request with the process that sent it and the webhook that it was. */
export interface TracedReceipt extends Receipt {
  sender: Instance;
  delivery: DeliveryRow;
}

export interface Verdict {
  violations: string[];
  excess: Excess;
  traced: TracedReceipt[];
}

const TERMINAL = ['job.finished', 'job.failed', 'job.canceled'];
/** How often a webhook must have failed for the last one of its job to take its place (contract, section 7). */
const FAILURES_UNTIL_SUPERSEDED = 5;

/** Everything that must never be and is. */
export function findViolations({ deliveries, attempts, receipts, connections }: Evidence): Verdict {
  const violations: string[] = [];
  const byId = new Map(deliveries.map((delivery) => [delivery.id, delivery]));
  const traced: TracedReceipt[] = [];
  for (const receipt of receipts) {
    const sender = connections.openerOf(receipt.connection, receipt.arrivedAtMs);
    const delivery = byId.get(receipt.id);
    if (!sender) violations.push(`${receipt.id} was sent to ${receipt.receiver} by nobody known`);
    else if (!delivery) violations.push(`${receipt.id} was sent by ${sender.name} and is in no database`);
    else traced.push({ ...receipt, sender, delivery });
  }
  traced.sort((a, b) => a.arrivedAtMs - b.arrivedAtMs);
  const byQueue = groupBy(traced, ({ delivery }) => delivery.queue_id);
  const excess = findExcess(deliveries, attempts, traced);
  violations.push(
    ...traced.flatMap(checkContent),
    ...checkEnds(deliveries, byQueue),
    ...[...byQueue.values()].flatMap((queue) => checkOrder(queue, attempts)),
    ...findOverlaps(byQueue),
    ...excess.violations,
  );
  return { violations, excess, traced };
}

/** Signed, and the bytes of the record. */
function checkContent({ id, body, complaint, receiver, delivery }: TracedReceipt): string[] {
  if (body === null) return [];
  return [
    ...(complaint === null ? [] : [`the signature of ${id} at ${receiver}: ${complaint}`]),
    ...(body === delivery.body ? [] : [`the body of ${id} at ${receiver} is another than the recorded one`]),
  ];
}

/** Each webhook was delivered, or needed not be; the last one of each job was. */
function checkEnds(deliveries: readonly DeliveryRow[], byQueue: Map<string, TracedReceipt[]>): string[] {
  return [...groupBy(deliveries, ({ queue_id }) => queue_id)].flatMap(([queue, all]) => {
    const taken = new Set(
      (byQueue.get(queue) ?? []).filter(({ status }) => status !== null && status < 300).map(({ id }) => id),
    );
    const last = all.filter(({ event_type, status }) => TERMINAL.includes(event_type) && status === 'delivered');
    return [
      ...all
        .filter((delivery) => delivery.status !== 'delivered' && !isSuperseded(delivery, all))
        .map(({ id, status, event_type, attempts }) => `${event_type} ${id} is ${status} after ${attempts} attempts`),
      ...all
        .filter(({ id, status }) => status === 'delivered' && !taken.has(id))
        .map(({ id, event_type }) => `${event_type} ${id} counts as delivered, but its receiver has not taken it`),
      ...(last.length === 1 ? [] : [`${last.length} last webhooks of job ${all[0]?.job_id} in queue ${queue}`]),
    ];
  });
}

/** Contract, section 7: progress by anything later, and whatever has failed five times by the last one. */
function isSuperseded(delivery: DeliveryRow, queue: readonly DeliveryRow[]): boolean {
  const later = queue.filter(({ sequence }) => sequence > delivery.sequence);
  const gaveWay =
    delivery.event_type === 'job.progress'
      ? later.length > 0
      : delivery.attempts >= FAILURES_UNTIL_SUPERSEDED && later.some(({ event_type }) => TERMINAL.includes(event_type));
  return delivery.status === 'superseded' && gaveWay;
}

/**
 * What a receiver gets for the first time is later in its job than all that it got before, but for what was sent late, and
 * for the last request of a webhook that gave way when that had timed out: it lay unread at a busy receiver, and the next
 * webhook went out.
 */
function checkOrder(queue: readonly TracedReceipt[], attempts: readonly AttemptRow[]): string[] {
  const isUnread = ({ id, timestamp, delivery }: TracedReceipt): boolean =>
    delivery.status === 'superseded' &&
    attempts.some((each) => each.delivery_id === id && each.timestamp === timestamp && each.timed_out);
  const whole = queue.filter((receipt) => receipt.body !== null && !isSentLate(receipt) && !isUnread(receipt));
  const firsts = [...groupBy(whole, ({ id }) => id).values()].map(([first]) => first!);
  const sequences = firsts.map(({ delivery }) => delivery.sequence);
  if (sequences.every((sequence, place) => place === 0 || sequence > (sequences[place - 1] ?? 0))) return [];
  const { delivery, receiver } = queue[0]!;
  const senders = firsts.map(({ sender, delivery: { sequence } }) => `${sequence} by ${sender.name}`);
  return [`${receiver} got the webhooks of job ${delivery.job_id} out of order: ${senders.join(', ')}`];
}
