/**
 * How much is known of a receiver. `proven`: it answers quickly. `new`: nothing is known. `penalised`: it lets us wait. Each
 * kind has places of its own, so that receivers that never answer cannot take those of the others (invariant 16).
 */
export type Pool = 'proven' | 'new' | 'penalised';

/** How many attempts may be started now. Origins that are not listed are new. */
export interface Places {
  origins: Record<string, { pool: Pool; free: number }>;
  pools: Record<Pool, number>;
  /** of each origin that is not listed */
  newFree: number;
}

/** An attempt under way. */
export interface Visit {
  readonly origin: string;
  readonly startedAtMs: number;
  pool: Pool;
}

interface Receiver {
  pool: Pool;
  inFlight: number;
  /** smoothed time of an attempt */
  averageMs: number;
  usedAtMs: number;
}

/** Connections to one origin at once. */
export const CONNECTIONS_AN_ORIGIN = 64;
/** Attempts at once in this process: in all, and to one origin. */
export const PLACES: Readonly<Record<Pool, { all: number; anOrigin: number }>> = {
  proven: { all: 512, anOrigin: CONNECTIONS_AN_ORIGIN },
  new: { all: 64, anOrigin: 4 },
  penalised: { all: 32, anOrigin: 2 },
};
/** Who takes longer lets us wait. */
const SLOW_MS = 1_000;
/** Weight of the newest attempt in the average. */
const NEWEST = 0.3;
const FORGET_AFTER_MS = 600_000;
const MAX_RECEIVERS = 1_000;

/** Decides, in this process, how many attempts each receiver may have at once. */
export class ReceiverGate {
  private readonly receivers = new Map<string, Receiver>();
  /** Oldest first. */
  private readonly visits = new Set<Visit>();
  private readonly taken: Record<Pool, number> = { proven: 0, new: 0, penalised: 0 };

  constructor(private readonly now: () => number = () => performance.now()) {}

  places(): Places {
    this.penaliseWhoLetsUsWait();
    this.forget();
    const origins = Object.fromEntries(
      [...this.receivers].map(([origin, { pool, inFlight }]) => [
        origin,
        { pool, free: Math.max(0, PLACES[pool].anOrigin - inFlight) },
      ]),
    );
    const free = (pool: Pool): number => Math.max(0, PLACES[pool].all - this.taken[pool]);
    return {
      origins,
      pools: { proven: free('proven'), new: free('new'), penalised: free('penalised') },
      newFree: PLACES.new.anOrigin,
    };
  }

  enter(origin: string): Visit {
    const nowMs = this.now();
    const receiver = this.receivers.get(origin) ?? { pool: 'new', inFlight: 0, averageMs: 0, usedAtMs: nowMs };
    receiver.inFlight += 1;
    receiver.usedAtMs = nowMs;
    // The least recently used stands first, and is forgotten first.
    this.receivers.delete(origin);
    this.receivers.set(origin, receiver);
    const visit: Visit = { origin, startedAtMs: nowMs, pool: receiver.pool };
    this.taken[visit.pool] += 1;
    this.visits.add(visit);
    return visit;
  }

  /** @param attempted false when nothing was sent: that tells nothing of the receiver */
  leave(visit: Visit, attempted: boolean): void {
    this.visits.delete(visit);
    this.taken[visit.pool] -= 1;
    const receiver = this.receivers.get(visit.origin);
    if (!receiver) return;
    receiver.inFlight -= 1;
    if (!attempted) return;
    const tookMs = this.now() - visit.startedAtMs;
    receiver.averageMs = receiver.pool === 'new' ? tookMs : receiver.averageMs * (1 - NEWEST) + tookMs * NEWEST;
    receiver.pool = receiver.averageMs < SLOW_MS ? 'proven' : 'penalised';
  }

  /** An attempt that is not over yet tells enough when it is slow; it frees its place for those who answer. */
  private penaliseWhoLetsUsWait(): void {
    for (const visit of this.visits) {
      if (this.now() - visit.startedAtMs < SLOW_MS) break;
      if (visit.pool === 'penalised') continue;
      this.taken[visit.pool] -= 1;
      visit.pool = 'penalised';
      this.taken.penalised += 1;
      const receiver = this.receivers.get(visit.origin);
      if (!receiver || receiver.pool === 'penalised') continue;
      receiver.pool = 'penalised';
      receiver.averageMs = Math.max(receiver.averageMs, SLOW_MS / NEWEST);
    }
  }

  /** Whoever was not called for long is new again. Of too many, first those go that let us wait: they are found out again. */
  private forget(): void {
    const before = this.now() - FORGET_AFTER_MS;
    const drop = (isDue: (receiver: Receiver) => boolean): void => {
      for (const [origin, receiver] of this.receivers)
        if (receiver.inFlight === 0 && isDue(receiver)) this.receivers.delete(origin);
    };
    drop(({ usedAtMs }) => usedAtMs < before);
    if (this.receivers.size <= MAX_RECEIVERS) return;
    drop(({ pool }) => pool !== 'proven' && this.receivers.size > MAX_RECEIVERS);
    drop(() => this.receivers.size > MAX_RECEIVERS);
  }
}
