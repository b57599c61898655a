/** Before all ids: where the ring is closed. */
export const SEAM = '00000000-0000-0000-0000-000000000000';

/** What a claim may walk over: the tenants behind one up to another, which is walked over too, round the ring. */
export interface Stretch {
  after: string;
  until: string;
}

/** How far a claim has walked. */
export interface Walk {
  /** the tenant where the next claim goes on */
  endedAt: string;
  /** that it came to the end of its stretch */
  whole: boolean;
}

/**
 * The tenants with waiting jobs, in the order of their ids, the last one followed by the first. Each claim walks over a few of
 * them and the next one goes on where it ended, so that everyone's turn comes, however many there are and whatever one of
 * them has waiting.
 */
export class TenantRing {
  private at = SEAM;
  /** from here on nothing was found */
  private fruitlessFrom = SEAM;

  get stretch(): Stretch {
    return { after: this.at, until: this.fruitlessFrom };
  }

  /** Something may have become due behind what a round has walked over. */
  beginAnew(): void {
    this.fruitlessFrom = this.at;
  }

  /** @returns whether there may be more at once: false when all of the ring was walked over for nothing */
  goOn({ endedAt, whole }: Walk, found: boolean): boolean {
    const round = whole || endedAt === this.fruitlessFrom;
    this.at = endedAt;
    if (found || round) this.fruitlessFrom = endedAt;
    return found || !round;
  }
}
