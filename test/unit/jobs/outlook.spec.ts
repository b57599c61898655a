import { describe, expect, it } from '@jest/globals';
import { Outlook } from '../../../src/modules/jobs/polling/outlook.js';

const BOUNDS = { minMs: 5_000, maxMs: 60_000 };
type Seen = Parameters<Outlook['note']>[0];

function next(seen: Seen[], { youngestQueuedMs = null as number | null, unseen = false } = {}): number {
  const outlook = new Outlook(BOUNDS, youngestQueuedMs, () => 0);
  for (const job of seen) outlook.note(job);
  return outlook.nextLookInMs(unseen);
}

describe('the time of the next look', () => {
  it.each<[string, Seen[], object, number]>([
    ['half way to an end that is near', [{ status: 'processing', etaSeconds: 40 }], {}, 20_000],
    ['not sooner than allowed', [{ status: 'processing', etaSeconds: 1 }], {}, 5_000],
    ['not later than allowed', [{ status: 'processing', etaSeconds: 3_000 }], {}, 60_000],
    [
      'by the one that ends first',
      [
        { status: 'processing', etaSeconds: 3_000 },
        { status: 'processing', etaSeconds: 30 },
      ],
      {},
      15_000,
    ],
    ['soon without an ETA', [{ status: 'processing', etaSeconds: null }], {}, 5_000],
    ['soon after submission', [{ status: 'queued', etaSeconds: null }], { youngestQueuedMs: 2_000 }, 5_000],
    ['rarer in a long queue', [{ status: 'queued', etaSeconds: null }], { youngestQueuedMs: 100_000 }, 25_000],
    ['by the ETA in the queue', [{ status: 'queued', etaSeconds: 20 }], { youngestQueuedMs: 100_000 }, 10_000],
    ['soon for a result that is not there yet', [{ status: 'finished', etaSeconds: 0 }], {}, 5_000],
    ['soon for what was not seen', [{ status: 'processing', etaSeconds: 600 }], { unseen: true }, 5_000],
    ['late when there is nothing to see', [], {}, 60_000],
    ['not sooner for what has ended', [{ status: 'failed', etaSeconds: 0 }], {}, 60_000],
  ])('should be %s', (_, seen, options, ms) => {
    expect(next(seen, options)).toBe(ms);
  });

  it('should have a jitter that only adds', () => {
    const outlook = new Outlook(BOUNDS, null, () => 1);
    expect(outlook.nextLookInMs(true)).toBe(5_500);
  });
});
