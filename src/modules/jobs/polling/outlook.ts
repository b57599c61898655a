import { withAddedJitterMs } from '../../../common/loops/backoff.js';
import type { UpstreamJob } from '../../tensorpix/answers.js';

export interface PaceBounds {
  minMs: number;
  maxMs: number;
}

/** An ETA fluctuates: half of it is safely before the end, and a few such steps lead close to it. */
const ETA_SHARE = 0.5;
/** A job that has waited long in the queue is likely to wait on for a while. */
const QUEUE_SHARE = 0.25;
const JITTER = 0.1;

type Seen = Pick<UpstreamJob, 'status' | 'etaSeconds'> & Partial<Pick<UpstreamJob, 'output'>>;

/** Gathers from what a look has seen when the next one is worth its calls. Pure but for the jitter. */
export class Outlook {
  private soonestMs = Infinity;

  constructor(
    private readonly bounds: PaceBounds,
    /** the shortest time that a job of the tenant has been in the queue; null when none is */
    private readonly youngestQueuedMs: number | null,
    private readonly random: () => number = Math.random,
  ) {}

  note(job: Seen): void {
    if (hasEnded(job)) return;
    const worthMs = this.worthInMs(job);
    if (worthMs < this.soonestMs) this.soonestMs = worthMs;
  }

  /** @param unseen whether there are jobs that this look did not get to see: soon */
  nextLookInMs(unseen: boolean): number {
    const { minMs, maxMs } = this.bounds;
    const soonestMs = unseen ? minMs : Math.min(maxMs, Math.max(minMs, this.soonestMs));
    return withAddedJitterMs(soonestMs, JITTER, this.random);
  }

  private worthInMs({ status, etaSeconds }: Seen): number {
    const etaMs = etaSeconds === null ? Infinity : etaSeconds * 1000 * ETA_SHARE;
    if (status === 'queued') return Math.min(etaMs, (this.youngestQueuedMs ?? Infinity) * QUEUE_SHARE);
    // Without an ETA nothing is known; what is over but has no result yet gets it any moment.
    if (status !== 'processing' || etaSeconds === null) return this.bounds.minMs;
    return etaMs;
  }
}

function hasEnded({ status, output }: Seen): boolean {
  return status === 'failed' || status === 'canceled' || (status === 'finished' && (output ?? null) !== null);
}
