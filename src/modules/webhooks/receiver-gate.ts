/**
 * How much is known of a receiver: an origin (scheme, host and port), as one tenant uses it. Teams may share an ingress, and
 * one whose path there hangs must not make the others wait. `proven`: it answers quickly. `new`: nothing is known.
 * `penalised`: it lets us wait. Each kind has places of its own, so that receivers that never answer cannot take those of the others (invariant 16).
 */
export type Lane = 'proven' | 'new' | 'penalised';

/** How many attempts may be started now. */
export interface Places {
  /** Those that are used or remembered, each with what is known of its tenants there. */
  origins: Record<string, { free: number; tenants: Record<string, { lane: Lane; free: number }> }>;
  lanes: Record<Lane, number>;
  /** of these, what a tenant may have: of each that has attempts under way */
  tenants: Record<string, Record<Lane, number>>;
  /** of a receiver that is not listed */
  newFree: number;
}

/** An attempt under way. */
export interface Visit {
  readonly receiver: Receiver;
  readonly startedAtMs: number;
  /** whose place it has; null: it lets us wait, and has left its place to others */
  lane: Lane | null;
}

interface Receiver {
  readonly origin: string;
  readonly tenantId: string;
  lane: Lane;
  inFlight: number;
  /** smoothed time of an attempt */
  averageMs: number;
  usedAtMs: number;
}

/** Connections to one origin at once. */
export const CONNECTIONS_AN_ORIGIN = 64;
/**
 * Attempts at once in this process: in all, of one tenant, and to one receiver. Neither a lane nor the connections to an origin
 * can be had by one tenant alone.
 */
export const PLACES: Readonly<Record<Lane, { all: number; tenant: number; each: number }>> = {
  proven: { all: 512, tenant: 448, each: 48 },
  new: { all: 64, tenant: 32, each: 4 },
  penalised: { all: 32, tenant: 16, each: 2 },
};
/** Attempts that have left their places: each costs a socket until its wall clock ends it. With more, slow ones keep them. */
const MOST_STRAGGLERS = 1_024;
const LANES = Object.keys(PLACES) as Lane[];
/** Who takes longer lets us wait. */
const SLOW_MS = 1_000;
/** Weight of the newest attempt in the average. */
const NEWEST = 0.3;
const FORGET_AFTER_MS = 600_000;
const MAX_RECEIVERS = 1_000;

/** Decides, in this process, how many attempts each receiver may have at once. */
export class ReceiverGate {
  /** By tenant and origin; the least recently used stands first. */
  private readonly receivers = new Map<string, Receiver>();
  /** Attempts under way by origin. */
  private readonly atOrigin = new Map<string, number>();
  /** Oldest first. */
  private readonly visits = new Set<Visit>();
  private readonly taken = noPlaces();
  private readonly takenByTenant = new Map<string, Record<Lane, number>>();
  private stragglers = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  places(): Places {
    this.penaliseWhoLetsUsWait();
    this.forget();
    const origins: Places['origins'] = {};
    for (const { origin, tenantId, lane, inFlight } of this.receivers.values()) {
      const connections = CONNECTIONS_AN_ORIGIN - (this.atOrigin.get(origin) ?? 0);
      origins[origin] ??= { free: Math.max(0, connections), tenants: {} };
      origins[origin].tenants[tenantId] = { lane, free: Math.max(0, PLACES[lane].each - inFlight) };
    }
    const free = (lane: Lane): number => Math.max(0, PLACES[lane].all - this.taken[lane]);
    return {
      origins,
      lanes: { proven: free('proven'), new: free('new'), penalised: free('penalised') },
      tenants: this.freeOfTenants(),
      newFree: PLACES.new.each,
    };
  }

  enter(tenantId: string, origin: string): Visit {
    const nowMs = this.now();
    const key = keyOf(tenantId, origin);
    const known = this.receivers.get(key);
    const receiver = known ?? { origin, tenantId, lane: 'new', inFlight: 0, averageMs: 0, usedAtMs: nowMs };
    receiver.inFlight += 1;
    receiver.usedAtMs = nowMs;
    this.receivers.delete(key);
    this.receivers.set(key, receiver);
    this.atOrigin.set(origin, (this.atOrigin.get(origin) ?? 0) + 1);
    const visit: Visit = { receiver, startedAtMs: nowMs, lane: receiver.lane };
    this.take(tenantId, receiver.lane, 1);
    this.visits.add(visit);
    return visit;
  }

  /** @param attempted false when nothing was sent: that tells nothing of the receiver */
  leave(visit: Visit, attempted: boolean): void {
    this.visits.delete(visit);
    this.giveUpPlace(visit);
    const { receiver } = visit;
    receiver.inFlight -= 1;
    const left = (this.atOrigin.get(receiver.origin) ?? 0) - 1;
    if (left > 0) this.atOrigin.set(receiver.origin, left);
    else this.atOrigin.delete(receiver.origin);
    if (!attempted) return;
    const tookMs = this.now() - visit.startedAtMs;
    receiver.averageMs = receiver.lane === 'new' ? tookMs : receiver.averageMs * (1 - NEWEST) + tookMs * NEWEST;
    receiver.lane = receiver.averageMs < SLOW_MS ? 'proven' : 'penalised';
  }

  /** An attempt that is not over yet tells enough when it is slow; it leaves its place to those who answer. */
  private penaliseWhoLetsUsWait(): void {
    for (const visit of this.visits) {
      if (this.now() - visit.startedAtMs < SLOW_MS) break;
      if (visit.lane === 'penalised' || visit.lane === null) continue;
      const { receiver } = visit;
      if (this.stragglers < MOST_STRAGGLERS) {
        this.giveUpPlace(visit);
        visit.lane = null;
        this.stragglers += 1;
      }
      if (receiver.lane === 'penalised') continue;
      receiver.lane = 'penalised';
      receiver.averageMs = Math.max(receiver.averageMs, SLOW_MS / NEWEST);
    }
  }

  private giveUpPlace({ lane, receiver }: Visit): void {
    if (lane === null) this.stragglers -= 1;
    else this.take(receiver.tenantId, lane, -1);
  }

  private take(tenantId: string, lane: Lane, places: 1 | -1): void {
    this.taken[lane] += places;
    const ofTenant = this.takenByTenant.get(tenantId) ?? noPlaces();
    ofTenant[lane] += places;
    if (LANES.every((each) => ofTenant[each] === 0)) this.takenByTenant.delete(tenantId);
    else this.takenByTenant.set(tenantId, ofTenant);
  }

  private freeOfTenants(): Places['tenants'] {
    const free = ([tenantId, taken]: [string, Record<Lane, number>]) => [
      tenantId,
      Object.fromEntries(LANES.map((lane) => [lane, Math.max(0, PLACES[lane].tenant - taken[lane])])),
    ];
    return Object.fromEntries([...this.takenByTenant].map(free)) as Places['tenants'];
  }

  /** Whoever was not called for long is new again. Of too many, first those go that let us wait: they are found out again. */
  private forget(): void {
    const before = this.now() - FORGET_AFTER_MS;
    const drop = (isDue: (receiver: Receiver) => boolean): void => {
      for (const [key, receiver] of this.receivers)
        if (receiver.inFlight === 0 && isDue(receiver)) this.receivers.delete(key);
    };
    drop(({ usedAtMs }) => usedAtMs < before);
    if (this.receivers.size <= MAX_RECEIVERS) return;
    drop(({ lane }) => lane !== 'proven' && this.receivers.size > MAX_RECEIVERS);
    drop(() => this.receivers.size > MAX_RECEIVERS);
  }
}

function noPlaces(): Record<Lane, number> {
  return { proven: 0, new: 0, penalised: 0 };
}

function keyOf(tenantId: string, origin: string): string {
  return `${tenantId} ${origin}`;
}
