import type { DatabaseTime } from '../../../common/time/database-time.js';
import type { UpstreamPage } from '../../tensorpix/answers.js';
import type { CallOutcome, Refusal, RefusalReason } from '../../tensorpix/call-outcome.js';

/**
 * An entry of a list with how far TensorPix's clock was off in the answer that showed it: database minus TensorPix. Null when the
 * answer did not tell: then nothing is known of its times.
 */
export interface Listed<T> {
  item: T;
  clockOffsetMs: number | null;
}

/** One of TensorPix's times as the database would have told it. */
export function corrected(at: Date | null, clockOffsetMs: number | null): Date | null {
  return at === null || clockOffsetMs === null ? null : new Date(at.getTime() + clockOffsetMs);
}

/**
 * Never less than it was: TensorPix's clock is cut to the second and was read before its answer came, and of the database's
 * the latest that it can be is taken. So no time that is corrected by it is too early, and none shows a call's own job as older
 * than the call, however slow the answers are.
 */
export function clockOffsetMs(date: Date | undefined, time: DatabaseTime): number | null {
  return date ? time.latest().getTime() - date.getTime() : null;
}

/** A list that was read from its first page to its last. */
export interface WholeList<T> {
  entries: Listed<T>[];
  /** one `count` from first to last page, and as many distinct entries as that */
  complete: boolean;
}

/** Why a list could not be read. `not_served`: TensorPix has no such list for us. */
export type ListTrouble =
  | { kind: 'rate_limited'; retryAfterMs: number | null }
  | { kind: 'token_rejected' }
  | { kind: 'not_served' }
  | { kind: 'unavailable' }
  | { kind: 'stopped' };

/** A list that is not read to its end. */
export class ListInterrupted extends Error {
  constructor(readonly trouble: ListTrouble) {
    super(trouble.kind);
    this.name = 'ListInterrupted';
  }
}

const NOT_SERVED: readonly RefusalReason[] = ['not_found', 'forbidden'];
const PAGE_SIZE = 100;
const MAX_PAGES = 200;

export type PageCall<T> = (limit: number, offset: number) => Promise<CallOutcome<UpstreamPage<T>>>;

/**
 * Reads a list page by page. A list that shifts meanwhile is read to its end all the same, and is not complete then.
 *
 * @param mayCall called before each page; false stops the reading
 * @throws ListInterrupted
 */
export async function readWholeList<T extends { id: number }>(
  page: PageCall<T>,
  time: DatabaseTime,
  mayCall: () => Promise<boolean>,
): Promise<WholeList<T>> {
  const byId = new Map<number, Listed<T>>();
  const counts = new Set<number | null>();
  let offset = 0;
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    if (!(await mayCall())) throw new ListInterrupted({ kind: 'stopped' });
    const { value, date } = valueOf(await page(PAGE_SIZE, offset));
    const offsetMs = clockOffsetMs(date, time);
    for (const item of value.items) byId.set(item.id, { item, clockOffsetMs: offsetMs });
    counts.add(value.count);
    offset += value.entries;
    if (value.hasNext && value.entries > 0) continue;
    const [count, ...others] = counts;
    return { entries: [...byId.values()], complete: others.length === 0 && count === byId.size && !value.hasNext };
  }
  return { entries: [...byId.values()], complete: false };
}

/** @throws ListInterrupted */
export function valueOf<T>(outcome: CallOutcome<T>): { value: T; date?: Date } {
  if (outcome.kind === 'ok') return outcome;
  if (outcome.kind === 'refused') throw new ListInterrupted(troubleOf(outcome.refusal));
  throw new ListInterrupted({ kind: 'unavailable' });
}

/** Only TensorPix itself can say that it serves no such list: the refusal of a proxy proves nothing. */
function troubleOf({ reason, retryAfterMs, worded }: Refusal): ListTrouble {
  if (reason === 'rate_limited') return { kind: 'rate_limited', retryAfterMs };
  if (reason === 'token_rejected') return { kind: 'token_rejected' };
  return worded && NOT_SERVED.includes(reason) ? { kind: 'not_served' } : { kind: 'unavailable' };
}
