import { Webhook } from 'standardwebhooks';
import type { Delivery } from './delivery.js';
import type { Entrant } from './line-up.js';
import type { ReceiptList, Receipts, Sample } from './receipt-recorder.js';

export interface Check {
  text: string;
  holds: boolean;
}

export interface Sent {
  healthy: Delivery[];
  dead: Delivery[];
}

/** What became of the deliveries of one measurement, or of several. */
export interface Tally {
  sent: number;
  once: number;
  missing: number;
  repeated: number;
  /** Received, and never sent by the benchmark. */
  unknown: number;
  /** Still in the store without an attempt, beyond those that may be put off. */
  left: number;
  /** Of deliveries to dead receivers. */
  putOff: number;
  samples: number;
  falseSignatures: number;
}

/** Looks for every delivery of a measurement. */
export function tallyUp({ contestant, courier }: Entrant, sent: Sent, receipts: Receipts, left: number): Tally {
  const healthy = count(sent.healthy, receipts.healthy);
  const dead = count(sent.dead, receipts.dead);
  const putOff = contestant.deadReceivers === 'may be put off' ? dead.missing : 0;
  return {
    sent: sent.healthy.length + sent.dead.length,
    once: healthy.once + dead.once,
    missing: healthy.missing + dead.missing - putOff,
    repeated: healthy.repeated + dead.repeated,
    unknown: healthy.unknown + dead.unknown,
    left: Math.max(0, left - putOff),
    putOff,
    samples: receipts.samples.length,
    falseSignatures: receipts.samples.filter((sample) => !isSigned(sample, courier.secret)).length,
  };
}

export function addUp(tallies: Tally[]): Tally {
  const sum = (read: (tally: Tally) => number) => tallies.reduce((total, tally) => total + read(tally), 0);
  return {
    sent: sum((t) => t.sent),
    once: sum((t) => t.once),
    missing: sum((t) => t.missing),
    repeated: sum((t) => t.repeated),
    unknown: sum((t) => t.unknown),
    left: sum((t) => t.left),
    putOff: sum((t) => t.putOff),
    samples: sum((t) => t.samples),
    falseSignatures: sum((t) => t.falseSignatures),
  };
}

/** Figures of a run that lost or doubled something are worth nothing. */
export function judge({ contestant: { label } }: Entrant, tally: Tally): Check[] {
  const { sent, once, missing, repeated, unknown, left, putOff, samples, falseSignatures } = tally;
  const faults = Object.entries({ missing, repeated, unknown, 'left in the store': left })
    .filter(([, number]) => number > 0)
    .map(([fault, number]) => `, ${number} ${fault}`);
  const tolerated = putOff > 0 ? `, ${putOff} to a dead receiver put off` : '';
  return [
    {
      text: `${label}: ${once} of ${sent} deliveries received exactly once${tolerated}${faults.join('')}`,
      holds: sent > 0 && once + putOff === sent && faults.length === 0,
    },
    {
      text: `${label}: ${samples - falseSignatures} of ${samples} sampled signatures verified`,
      holds: samples > 0 && falseSignatures === 0,
    },
  ];
}

function count(sent: Delivery[], { ids }: ReceiptList): Pick<Tally, 'once' | 'missing' | 'repeated' | 'unknown'> {
  const times = new Map(sent.map(({ id }) => [id, 0]));
  let unknown = 0;
  for (const id of ids) {
    const before = times.get(id);
    if (before === undefined) unknown += 1;
    else times.set(id, before + 1);
  }
  const counts = [...times.values()];
  return {
    once: counts.filter((number) => number === 1).length,
    missing: counts.filter((number) => number === 0).length,
    repeated: counts.filter((number) => number > 1).length,
    unknown,
  };
}

/** By the reference implementation of Standard Webhooks. */
function isSigned({ headers, body }: Sample, secret: string): boolean {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
