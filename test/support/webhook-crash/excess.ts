import { groupBy } from '../crash/group-by.js';
import type { AttemptRow, DeliveryRow } from './records.js';
import type { TracedReceipt } from './verdict.js';

/** Requests beyond what the retry schedule explains. */
export interface Excess {
  violations: string[];
  /** That left no record, as their process was killed. */
  unrecorded: number;
  /** That were recorded and did not count, as their process had lost its claim. */
  uncounted: number;
}

/** Compares, for each webhook, what was sent with what was recorded, what counted, and who was killed or stood still. */
export function findExcess(
  deliveries: readonly DeliveryRow[],
  attempts: readonly AttemptRow[],
  receipts: readonly TracedReceipt[],
): Excess {
  const attemptsOf = groupBy(attempts, ({ delivery_id }) => delivery_id);
  const receiptsOf = groupBy(receipts, ({ id }) => id);
  const excess: Excess = { violations: [], unrecorded: 0, uncounted: 0 };
  for (const delivery of deliveries) {
    const sent = receiptsOf.get(delivery.id) ?? [];
    const logged = attemptsOf.get(delivery.id) ?? [];
    const unrecorded = unrecordedOf(sent, logged);
    excess.unrecorded += unrecorded.count;
    excess.uncounted += logged.length - delivery.attempts;
    excess.violations.push(
      ...checkSchedule(delivery, logged),
      ...checkSends(delivery, sent),
      ...(unrecorded.count <= unrecorded.killed.size
        ? []
        : [
            `${describe(delivery)}: ${unrecorded.count} requests left no record, ${unrecorded.killed.size} by killed processes`,
          ]),
    );
  }
  return excess;
}

/** The schedule has one success at most, and any other attempt that counts has failed. */
function checkSchedule(delivery: DeliveryRow, logged: readonly AttemptRow[]): string[] {
  const failed = logged.filter(({ succeeded }) => !succeeded).length;
  const explained = failed + (delivery.status === 'delivered' ? 1 : 0);
  return [
    ...(delivery.attempts <= explained
      ? []
      : [`${describe(delivery)}: ${delivery.attempts} attempts count, the schedule explains ${explained}`]),
    ...(delivery.attempts <= logged.length
      ? []
      : [`${describe(delivery)}: ${delivery.attempts} attempts count, ${logged.length} are in the log`]),
  ];
}

/** One more for each kill and for each standstill of a process that has sent it, and no more. */
function checkSends(delivery: DeliveryRow, sent: readonly TracedReceipt[]): string[] {
  const senders = [...new Set(sent.map(({ sender }) => sender))];
  const kills = senders.filter(({ killedAtMs }) => killedAtMs !== null).length;
  const stills = senders.reduce((sum, sender) => sum + sender.stills.length, 0);
  if (sent.length <= delivery.attempts + kills + stills) return [];
  const names = sent.map(({ sender }) => sender.name).join(', ');
  return [`${describe(delivery)}: sent ${sent.length} times (${names}), ${delivery.attempts} attempts count`];
}

/** Attempts and requests meet by their `webhook-timestamp`: what is sent and not logged, and which killed processes may have. */
function unrecordedOf(
  sent: readonly TracedReceipt[],
  logged: readonly AttemptRow[],
): { count: number; killed: Set<object> } {
  const loggedAt = groupBy(logged, ({ timestamp }) => timestamp);
  const killed = new Set<object>();
  let count = 0;
  for (const [timestamp, group] of groupBy(sent, (receipt) => receipt.timestamp)) {
    const missing = group.length - (loggedAt.get(timestamp)?.length ?? 0);
    if (missing <= 0) continue;
    count += missing;
    for (const { sender } of group) if (sender.killedAtMs !== null) killed.add(sender);
  }
  return { count, killed };
}

function describe({ event_type, sequence, job_id, id }: DeliveryRow): string {
  return `${event_type} (${sequence}) ${id} of job ${job_id}`;
}
