import { setTimeout as sleep } from 'node:timers/promises';
import { groupBy } from './group-by.js';
import { waitsForPerson, type Person } from './person.js';
import type { Records, Row } from './records.js';

const LOOK_MS = 400;
const PROGRESS_MS = 15_000;
/** Rows that do not change for so long will not: what they wait for by design is not waited for here. */
const PATIENCE_MS = 90_000;
/** The longest pause that the gateway makes before it sends again, however often that went wrong. A row that waits longer is stuck. */
const LONGEST_PAUSE_MS = 300_000;
/** Whatever still changes then goes round in a circle. */
const LONGEST_MS = 900_000;
/** The person looks again before it decides: a sender's answer may just be on its way. */
const LOOKS_BEFORE_DECISION = 3;

/**
 * Waits, with nothing in the way any more, until every row has ended, and has a person decide where the gateway cannot.
 *
 * @param isAnswered whether all clients have their answers: until then new rows may come
 * @returns the rows that are stuck: nothing of any open row has changed for a long time
 */
export async function settle(
  records: Records,
  person: Person,
  isAnswered: () => boolean,
  log: (line: string) => void,
): Promise<Row[]> {
  const looks = new Map<string, number>();
  let print = '';
  let changedAtMs = performance.now();
  let toldAtMs = changedAtMs;
  let answeredAtMs = Infinity;
  for (;;) {
    const nothingCanCome = isAnswered();
    const open = await records.openRows();
    if (open.length === 0 && nothingCanCome) return [];
    if (nothingCanCome) answeredAtMs = Math.min(answeredAtMs, performance.now());
    if (performance.now() - answeredAtMs > LONGEST_MS) return open;
    for (const row of open.filter((each) => canBeDecided(each, open))) {
      const count = (looks.get(row.id) ?? 0) + 1;
      looks.set(row.id, count % LOOKS_BEFORE_DECISION);
      if (count === LOOKS_BEFORE_DECISION) await person.decideAbout(row);
    }
    await records.letResultsBeMissed();
    await records.letPausesEnd(LONGEST_PAUSE_MS);
    const now = await records.fingerprintOfOpenRows();
    if (now !== print || !nothingCanCome) changedAtMs = performance.now();
    else if (performance.now() - changedAtMs > PATIENCE_MS) return open;
    print = now;
    if (performance.now() - toldAtMs > PROGRESS_MS) {
      log(`waiting for ${describe(open)}${nothingCanCome ? '' : ', and for answers'}; ${describePerson(person)}`);
      toldAtMs = performance.now();
    }
    await sleep(LOOK_MS);
  }
}

function describe(open: readonly Row[]): string {
  const groups = groupBy(open, ({ status, status_reason }) => `${status} (${status_reason ?? '-'})`);
  return [...groups].map(([state, rows]) => `${rows.length} ${state}`).join(', ');
}

function describePerson({ count, refusals }: Person): string {
  const newest = refusals.at(-1);
  return `${count} decided by a person${newest ? `, ${refusals.length} refused, at last: ${newest}` : ''}`;
}

/** While an equal job is being sent, what TensorPix shows may still be about to be bound. */
function canBeDecided(row: Row, open: readonly Row[]): boolean {
  const isUnderWay = open.some(
    ({ lease_expires_at, input }) => lease_expires_at !== null && input['video_url'] === row.input['video_url'],
  );
  return waitsForPerson(row) && !isUnderWay;
}

/** Waits until every webhook was delivered. Returns how many were not. */
export async function settleWebhooks(records: Records): Promise<number> {
  let least = Infinity;
  let changedAtMs = performance.now();
  for (;;) {
    const { open, exhausted } = await records.deliveries();
    if (open === 0) return exhausted;
    if (open < least) changedAtMs = performance.now();
    else if (performance.now() - changedAtMs > PATIENCE_MS) return open + exhausted;
    least = Math.min(least, open);
    await sleep(LOOK_MS);
  }
}
