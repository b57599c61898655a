/** What looks have learned about a tenant's list at TensorPix, whose order and page size nobody has written down. */
export interface ListKnowledge {
  /** entries that a page really has */
  pageSize: number;
  /** entries before the first page that showed a job of ours */
  from: number;
  /** pages until all were seen; null: not known any more */
  pages: number | null;
}

/** How to look: by id, one call a job, or by the list, from an entry on and at most so many pages. */
export type LookPlan = { by: 'id' } | ({ by: 'list' } & SweepPlan);

export interface SweepPlan {
  from: number;
  maxPages: number;
  /** entries that a page is taken to have until one has been read */
  pageSize: number;
}

/** Entries asked for; TensorPix may give fewer. */
export const PAGE_SIZE = 100;
/** Jobs asked for by id in one look: the others wait for the next one. */
export const SINGLES_A_LOOK = 20;
/** What a look reads beside the pages that its jobs fill: ended jobs of a long history may stand between them. */
const SPARE_PAGES = 60;

/** The cheaper of the two, in calls. */
export function planLook(active: number, known: ListKnowledge | null): LookPlan {
  const pageSize = known?.pageSize ?? PAGE_SIZE;
  const filled = Math.ceil(active / pageSize);
  const listCalls = Math.max(known?.pages ?? 1, filled);
  if (active <= Math.min(listCalls, SINGLES_A_LOOK)) return { by: 'id' };
  return { by: 'list', from: known?.from ?? 0, maxPages: 2 * filled + SPARE_PAGES, pageSize };
}

export interface ReadPage {
  /** all of its entries */
  entries: number;
  hasNext: boolean;
  /** jobs on it that were looked for */
  found: number;
}

/** Pages in a row that were read for nothing after the jobs that stand together: new ones are at the list's beginning then. */
const EMPTY_UNTIL_BEGINNING = 2;
/** Pages of one sweep that could not be read. One is stepped over; more say that it is the list that fails. */
const MOST_SKIPPED = 3;

/**
 * The way through a list: from where our jobs stood last time on; when nothing more is found there, from the beginning to
 * that place; then on to the end. It is over when all are seen, or when so many pages in a row were read for nothing that
 * asking for the rest by id is not dearer.
 */
export class ListSweep {
  private offset: number;
  /** `on`: from where they stood; `beginning`: up to there; `rest`: to the end */
  private part: 'on' | 'beginning' | 'rest';
  /** where the rest begins; null when the end was reached */
  private restAt: number | null = null;
  private pages = 0;
  private emptyInARow = 0;
  private entries = 0;
  private pageSize = 0;
  private firstFoundAt: number | null = null;
  private usefulPages = 0;
  private skipped = 0;
  /** something stood where ours had stood last time, or beyond */
  private foundOn = false;
  private done = false;
  private stopped = false;

  constructor(private readonly plan: SweepPlan) {
    this.offset = plan.from;
    this.part = plan.from === 0 ? 'rest' : 'on';
  }

  /** Entries before the next page; null when there is none to read. */
  get next(): number | null {
    return this.done ? null : this.offset;
  }

  /** @param unseen jobs that are still looked for */
  read({ entries, hasNext, found }: ReadPage, unseen: number): void {
    this.pages += 1;
    this.entries += entries;
    // The last page tells nothing of how many TensorPix gives.
    if (hasNext) this.pageSize = Math.max(this.pageSize, entries);
    if (found > 0) {
      this.firstFoundAt = Math.min(this.firstFoundAt ?? Infinity, this.offset);
      this.usefulPages = this.pages;
      this.emptyInARow = 0;
    } else this.emptyInARow += 1;
    this.offset += entries;
    const ends = !hasNext || entries === 0;
    if (unseen === 0) this.done = true;
    else if (this.pages >= this.plan.maxPages) this.stop();
    else if (this.part === 'on') this.goOn(ends, unseen);
    else if (unseen <= this.emptyInARow) this.done = true;
    else if (this.part === 'beginning') this.goThroughBeginning(ends);
    else this.done = ends;
  }

  /** TensorPix could not give this page: what stands on it is left to calls by id. */
  skip(): void {
    this.pages += 1;
    this.skipped += 1;
    this.offset += this.pageSize || this.plan.pageSize;
    if (this.skipped >= MOST_SKIPPED || this.pages >= this.plan.maxPages) this.stop();
  }

  /** While nothing is found the way goes on for as long as that is not dearer than asking by id. */
  private goOn(ends: boolean, unseen: number): void {
    const patience = Math.max(EMPTY_UNTIL_BEGINNING, Math.min(unseen, Math.floor(this.plan.maxPages / 2)));
    this.foundOn = this.firstFoundAt !== null;
    if (!ends && this.emptyInARow < (this.foundOn ? EMPTY_UNTIL_BEGINNING : patience)) return;
    this.restAt = ends ? null : this.offset;
    this.part = 'beginning';
    this.offset = 0;
    this.emptyInARow = 0;
  }

  private goThroughBeginning(ends: boolean): void {
    if (!ends && this.offset < this.plan.from) return;
    this.done = ends || this.restAt === null;
    this.part = 'rest';
    this.offset = this.restAt ?? 0;
    this.emptyInARow = 0;
  }

  /** Ends it before its time: the next one goes on from here. */
  stop(): void {
    this.stopped ||= !this.done;
    this.done = true;
  }

  /** One that found nothing, or was stopped, has not seen all of the list: the next one goes on where it ended. */
  get knowledge(): ListKnowledge | null {
    if (this.entries === 0) return null;
    const pageSize = this.pageSize || this.plan.pageSize;
    const searches = this.part === 'beginning' && this.restAt !== null && !this.foundOn;
    if (this.stopped && !searches) return { pageSize, from: this.offset, pages: this.pages };
    if (this.stopped || this.firstFoundAt === null)
      return { pageSize, from: this.restAt ?? this.offset, pages: this.pages };
    return { pageSize, from: this.firstFoundAt, pages: this.usefulPages };
  }
}
