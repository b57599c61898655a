import { Injectable } from '@nestjs/common';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { isPassing, isUnheard } from '../../common/prisma/database-errors.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { retryWhileAway } from '../../common/prisma/retry-while-away.js';
import type { AttemptRecord } from './attempt-record.js';
import type { ClaimedDelivery } from './delivery-claims.store.js';
import { ENDPOINT_PATIENCE, ENDPOINT_SILENCE, OUTCOME_PARTS } from './delivery-outcomes.sql.js';

/** What an attempt came to. */
export interface DeliveryOutcome {
  delivery: ClaimedDelivery;
  leaseToken: string;
  /** Of a manual attempt, `failing` leaves the delivery as it was. */
  status: 'delivered' | 'failing' | 'exhausted';
  /** null unless it is tried again */
  retryInMs: number | null;
  /** The same once the job has ended, where that is sooner. */
  retryAtEndInMs?: number;
  error: string | null;
  attempt: AttemptRecord | null;
  /** Nothing was sent: that is no attempt. */
  unsent?: boolean;
}

export interface Marked {
  /** False when the claim was gone: whoever has it now decides. */
  written: boolean;
  /** The endpoint has taken nothing for so long that it is to be disabled. */
  endpointFailed: boolean;
  /** Another webhook of the queue is due now. */
  more: boolean;
  /** The webhook was still to be delivered, and is given up. */
  lost: boolean;
}

/** What a statement gets of an outcome. */
interface Write extends DeliveryOutcome {
  /** A statement before this one may have written it, and its answer have been lost. */
  repeated: boolean;
}

type Added = Marked & Pick<Write, 'repeated'>;

interface MarkedRow extends Omit<Marked, 'written'> {
  queueId: string;
  leaseToken: string;
}

const OUTCOMES_A_STATEMENT = 500;
/** Within the margin of the lease: a claim that is over writes nothing. */
const PATIENCE_MS = 8_000;
const UNSTORABLE = 'the reason could not be stored';

/** Writes what attempts came to. */
@Injectable()
export class DeliveryOutcomesStore {
  private readonly outcomes = new MicroBatcher((items: Write[]) => this.markMany(items), {
    maxItems: OUTCOMES_A_STATEMENT,
    concurrency: 1,
  });

  constructor(private readonly prisma: PrismaService) {}

  /** Writes what an attempt came to, with its record. Whatever is wrong with its texts does not keep it from being written. */
  async mark(outcome: DeliveryOutcome): Promise<Marked> {
    try {
      const first = await this.add(outcome);
      if (first.written) return first;
      // The claim is gone; or a webhook that may make this one pointless came while the statement waited for its lock, and
      // the next statement sees it.
      const last = outcome.status === 'delivered' ? first : await this.add({ ...outcome, attempt: null });
      return !last.written && (first.repeated || last.repeated) ? writtenUnheard(outcome) : last;
    } catch (error) {
      const shorter = withLessText(outcome);
      if (shorter === null || isPassing(error)) throw error;
      return this.mark(shorter);
    }
  }

  private async add(outcome: DeliveryOutcome): Promise<Added> {
    let repeated = false;
    const marked = await retryWhileAway(PATIENCE_MS, () =>
      this.outcomes.add({ ...outcome, repeated }).catch((error: unknown) => {
        repeated ||= isUnheard(error);
        throw error;
      }),
    );
    return { ...marked, repeated };
  }

  private async markMany(outcomes: Write[]): Promise<Marked[]> {
    const rows = await this.prisma.$rows<MarkedRow>`
      with input as (
        select * from json_to_recordset(${JSON.stringify(outcomes.map(toRow))}::json) as i(
          queue_id uuid, version integer, lease uuid, delivery_id uuid, manual boolean, endpoint_id uuid, status text,
          retry_ms float8, retry_at_end_ms float8, error text, unsent boolean, hurried boolean, endpoint_revision integer,
          repeated boolean, attempt json)
      ), ${OUTCOME_PARTS}
      select i.queue_id as "queueId", i.lease as "leaseToken", i.more, i.was_open and i.final = 'exhausted' as lost,
             -- Compared, not searched with "exists": that was planned as a read of all endpoints.
             i.status <> 'delivered' and not i.stale and coalesce((
               select e.failing_since < now() - ${ENDPOINT_PATIENCE} and e.failed_at > now() - ${ENDPOINT_SILENCE}
                 from webhook_endpoints e where e.id = i.endpoint_id and e.status = 'enabled'), false) as "endpointFailed"
        from held i`;
    const byClaim = new Map(rows.map((row) => [row.queueId + row.leaseToken, row]));
    const succeeded = new Set(
      outcomes.filter(({ status }) => status === 'delivered').map(({ delivery }) => delivery.endpointId),
    );
    return outcomes.map(({ delivery: { queueId, endpointId }, leaseToken }) => {
      const row = byClaim.get(queueId + leaseToken);
      if (!row) return { written: false, endpointFailed: false, more: false, lost: false };
      const { more, lost } = row;
      return { written: true, endpointFailed: row.endpointFailed && !succeeded.has(endpointId), more, lost };
    });
  }
}

/**
 * What an outcome came to whose claim was gone when it was repeated: nobody else takes a claim before its time, so that the
 * statement whose answer was lost has written it. Whether another webhook is due is not known: a look tells.
 */
function writtenUnheard({ status, delivery }: DeliveryOutcome): Marked {
  return { written: true, endpointFailed: false, more: true, lost: status === 'exhausted' && !delivery.manual };
}

/** What is left when a text cannot be stored: without the record first, then without the reason. Null: nothing to leave out. */
function withLessText(outcome: DeliveryOutcome): DeliveryOutcome | null {
  if (outcome.attempt !== null) return { ...outcome, attempt: null };
  if (outcome.error !== null && outcome.error !== UNSTORABLE) return { ...outcome, error: UNSTORABLE };
  return null;
}

function toRow({
  delivery,
  leaseToken,
  status,
  retryInMs,
  retryAtEndInMs,
  error,
  attempt,
  unsent = false,
  repeated,
}: Write): Record<string, unknown> {
  return {
    queue_id: delivery.queueId,
    version: delivery.version,
    lease: leaseToken,
    delivery_id: delivery.id,
    manual: delivery.manual,
    endpoint_id: delivery.endpointId,
    status,
    retry_ms: retryInMs,
    retry_at_end_ms: retryAtEndInMs,
    error,
    unsent,
    // A first attempt is none of a schedule that has not begun: the mark was of another webhook of the queue.
    hurried: delivery.hurried && delivery.attempts > 0,
    endpoint_revision: delivery.endpointRevision,
    repeated,
    attempt,
  };
}
