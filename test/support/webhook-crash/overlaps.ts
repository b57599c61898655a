import type { Still } from './connections.js';
import type { TracedReceipt } from './verdict.js';

type Queue = readonly TracedReceipt[];

/**
 * Two requests of one job at one receiver at once, where the sender of the earlier one was there all the time.
 *
 * @param byQueue the requests of each queue in the order of their arrival
 */
export function findOverlaps(byQueue: ReadonlyMap<string, Queue>): { violations: string[]; lateRepeats: number } {
  const violations: string[] = [];
  let lateRepeats = 0;
  for (const queue of byQueue.values()) {
    for (const [place, later] of queue.entries()) {
      const isLate = isLateRepeat(later, queue);
      if (isLate) lateRepeats += 1;
      const same = queue
        .slice(0, place)
        .find((earlier) => earlier.overAtMs > later.arrivedAtMs && !wasAway(earlier, later));
      if (same && !isLate) violations.push(`at once: ${describe(same)} and ${describe(later)}`);
    }
  }
  return { violations, lateRepeats };
}

/** The earlier one's sender was killed before the later one came, or stood still and lost its claim. */
function wasAway({ sender, arrivedAtMs }: TracedReceipt, later: TracedReceipt): boolean {
  const killed = sender.killedAtMs !== null && sender.killedAtMs <= later.arrivedAtMs;
  return killed || sender.stills.some(({ fromMs, untilMs }) => fromMs <= later.arrivedAtMs && arrivedAtMs <= untilMs);
}

/**
 * A process that was stopped between the look at its claim and the sending sends when it goes on (contract, section 7: "a
 * repeat can arrive late"). That is one request of each queue at most: none, when it had sent what it held before it stopped.
 */
function isLateRepeat(receipt: TracedReceipt, queue: Queue): boolean {
  return receipt.sender.stills.some((still) => {
    if (receipt.arrivedAtMs < still.untilMs) return false;
    const isRepeat = queue.some(
      (other) =>
        other.id === receipt.id &&
        other.sender !== receipt.sender &&
        other.arrivedAtMs > still.fromMs &&
        other.arrivedAtMs < receipt.arrivedAtMs,
    );
    return isRepeat && !hadSent(receipt, still, queue);
  });
}

/** Its sender had another request of this queue under way when it stopped: somebody else sent that again. */
function hadSent({ sender, arrivedAtMs }: TracedReceipt, { fromMs }: Still, queue: Queue): boolean {
  return queue.some(
    (sent) =>
      sent.sender === sender &&
      sent.arrivedAtMs <= fromMs &&
      queue.some(({ id, arrivedAtMs: atMs }) => id === sent.id && atMs > fromMs && atMs < arrivedAtMs),
  );
}

function describe({ delivery, sender, arrivedAtMs, overAtMs, receiver }: TracedReceipt): string {
  const { job_id, sequence, event_type } = delivery;
  const time = `${arrivedAtMs.toFixed(1)} to ${overAtMs.toFixed(1)}`;
  return `${event_type} (${sequence}) of job ${job_id} at ${receiver} by ${sender.name} (${time})`;
}
