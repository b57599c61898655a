import { GUARDS, type Guards, type Timing } from '../../src/modules/jobs/reconciliation/judgement.js';

/** The defaults of the configuration. */
export const TIMING: Timing = { callTimeoutMs: 60_000, graceMs: 60_000 };
/** What a lease has beyond the timeout of its call, and what of that a call must leave for its settlement. */
export const LEASE_MARGIN_MS = 10_000;
export const SETTLE_MS = 2_000;

/** Everything that keeps a request from being charged twice. `judged` are the guards of the production code's `judge`. */
export interface Protocol {
  judged: Guards;
  /** The row is committed before TensorPix hears of the job. */
  intentFirst: boolean;
  /** A call of unknown outcome, or of a sender that died, waits for evidence. */
  unknownWaits: boolean;
  /** While a row of a key is unknown, no other of that key is claimed. */
  parksEquals: boolean;
  /** A look does not judge a key of which a call became unknown while it read. */
  seesNewlyUnknown: boolean;
  /** A row is not judged absent before the last of its equals has had its time: it may have been given this row's job. */
  waitsForEquals: boolean;
  /** What a person has given up may still have its job: no other request's row is given it. */
  heedsGivenUp: boolean;
  /** A sender looks at its lease before it calls. */
  checksLease: boolean;
  /** Only who holds the claim writes a decision. */
  fencesDecisions: boolean;
  /** An id that comes after the lease binds to its row. */
  lateIdsBind: boolean;
  /** A TensorPix job belongs to one row. */
  uniqueIds: boolean;
  /** A row under strict handling is called for once. */
  strictIsFinal: boolean;
}

export const PROTOCOL: Protocol = {
  judged: GUARDS,
  intentFirst: true,
  unknownWaits: true,
  parksEquals: true,
  seesNewlyUnknown: true,
  waitsForEquals: true,
  heedsGivenUp: true,
  checksLease: true,
  fencesDecisions: true,
  lateIdsBind: true,
  uniqueIds: true,
  strictIsFinal: true,
};

type ProtocolGuard = Exclude<keyof Protocol, 'judged'>;

/** The whole protocol but for one guard, by the name of that guard. */
export function weakenedProtocols(): Map<string, Protocol> {
  const judged = (change: Partial<Guards>): Protocol => ({ ...PROTOCOL, judged: { ...GUARDS, ...change } });
  const others = (Object.keys(PROTOCOL) as (keyof Protocol)[]).filter((name) => name !== 'judged') as ProtocolGuard[];
  return new Map<string, Protocol>([
    ...GUARDS.exclusions.map((name) => entry(name, judged({ exclusions: but(GUARDS.exclusions, name) }))),
    ...GUARDS.clean.map((name) => entry(name, judged({ clean: but(GUARDS.clean, name) }))),
    entry('cleanLooks', judged({ cleanLooks: 1 })),
    entry('waitsForCallsInFlight', judged({ waitsForCallsInFlight: false })),
    ...others.map((name) => entry(name, { ...PROTOCOL, [name]: false })),
    // Two layers: what is parked cannot take a job, and what could not be parked any more is waited for.
    entry('parksEquals', { ...PROTOCOL, parksEquals: false, waitsForEquals: false }),
  ]);
}

function entry(name: string, protocol: Protocol): [string, Protocol] {
  return [name, protocol];
}

function but<T>(items: readonly T[], item: T): T[] {
  return items.filter((other) => other !== item);
}
