import type { KillPoint } from './kill-points.js';

interface Armed {
  points: readonly KillPoint[];
  /** How often points of these are passed unharmed before. */
  skip: number;
  /** Nothing passes any more on the connection; else everything goes on, up to the process that stands still. */
  cuts: boolean;
  reached: (point: KillPoint) => void;
}

/**
 * Between the relays of a replica, which see it pass the points, and whoever kills or stops it: armed for some points at a
 * time. A relay whose point is the one (`pass` is true) lets nothing more through there; the process is dead soon.
 */
export class KillSwitch {
  /** How often each point was passed. */
  readonly passages = new Map<KillPoint, number>();
  private armed: Armed | null = null;

  /** Resolves when one of the points is reached; never, if it is disarmed before. */
  arm(points: readonly KillPoint[], skip: number, cuts: boolean): Promise<KillPoint> {
    return new Promise((reached) => (this.armed = { points, skip, cuts, reached }));
  }

  disarm(): void {
    this.armed = null;
  }

  /** Whether this point could be the one: the answer that leads to it has to be held until that is known. */
  expects(point: KillPoint): boolean {
    return this.armed?.points.includes(point) ?? false;
  }

  /** The point is passed, and too late to end there. */
  see(point: KillPoint): void {
    this.passages.set(point, (this.passages.get(point) ?? 0) + 1);
  }

  /** The point is reached. True: this is where the process ends, and nothing may follow on that connection. */
  pass(point: KillPoint): boolean {
    this.see(point);
    const { armed } = this;
    if (!armed?.points.includes(point)) return false;
    if (armed.skip > 0) {
      armed.skip -= 1;
      return false;
    }
    this.armed = null;
    armed.reached(point);
    return armed.cuts;
  }
}
