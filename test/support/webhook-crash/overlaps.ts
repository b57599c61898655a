import type { Still } from './connections.js';
import type { TracedReceipt } from './verdict.js';

type Queue = readonly TracedReceipt[];

/** Half of the time after which a sender gives a request up. */
const SEEN_IN_TIME_MS = 500;
/** They do not answer at once: what they have not answered they had no time to. */
const SLOW_RECEIVERS = ['silent', 'slow'];

/**
 * Two requests of one job at one receiver at once, where the sender of the earlier one was there all the time.
 *
 * @param byQueue the requests of each queue in the order of their arrival
 */
export function findOverlaps(byQueue: ReadonlyMap<string, Queue>): string[] {
  const violations: string[] = [];
  for (const queue of byQueue.values()) {
    let underWay: TracedReceipt[] = [];
    for (const later of queue) {
      underWay = underWay.filter(({ overAtMs }) => overAtMs > later.arrivedAtMs);
      const same =
        isLateRepeat(later, queue) || wasSeenLate(later)
          ? undefined
          : underWay.find(
              (earlier) => !wasAway(earlier, later) && !isLateRepeat(earlier, queue) && !wasGivenUpUnseen(earlier),
            );
      underWay.push(later);
      if (!same) continue;
      violations.push(`at once: ${describe(same)} and ${describe(later)}`);
      // One of a queue tells enough.
      break;
    }
  }
  return violations;
}

/**
 * A receiver that never answers keeps a request until its sender gives it up. One that is over as soon as it is seen was
 * sent long before: on a busy machine the receiver comes to it late.
 */
function wasSeenLate(receipt: TracedReceipt): boolean {
  return (receipt.receiver === 'silent' && isSoonOver(receipt)) || wasGivenUpUnseen(receipt);
}

/**
 * Its sender lived and did not wait for the answer of a receiver that takes its time: so it was sent long before it was seen,
 * and when it was under way is not known.
 */
function wasGivenUpUnseen(receipt: TracedReceipt): boolean {
  const { receiver, status, arrivedAtMs, overAtMs, sender } = receipt;
  const wasKilled = sender.killedAtMs !== null && sender.killedAtMs >= arrivedAtMs && sender.killedAtMs <= overAtMs;
  return SLOW_RECEIVERS.includes(receiver) && status === null && !wasKilled && isSoonOver(receipt);
}

function isSoonOver({ arrivedAtMs, overAtMs }: TracedReceipt): boolean {
  return overAtMs - arrivedAtMs < SEEN_IN_TIME_MS;
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
  if (isSentLate(receipt)) return true;
  return receipt.sender.stills.some((still) => {
    const since = queue.find(({ sender, arrivedAtMs }) => sender === receipt.sender && arrivedAtMs >= still.untilMs);
    if (since !== receipt) return false;
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

/** Signed before its process was stopped, and sent when that went on. */
export function isSentLate({ timestamp, arrivedAtMs, sender }: TracedReceipt): boolean {
  return sender.stills.some(({ fromSeconds, untilMs }) => Number(timestamp) <= fromSeconds && arrivedAtMs >= untilMs);
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
