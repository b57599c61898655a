import { setTimeout as sleep } from 'node:timers/promises';
import type { SimulatorControl } from '../../../simulator/control.js';
import type { Fault, FaultKind } from '../../../simulator/faults.js';
import type { Random } from '../crash/random.js';

/** What a TensorPix that is not well may answer to a look. None of it says that a job has ended. */
const FAULTS: readonly (Fault | FaultKind)[] = [
  { kind: 'rate_limited', retry_after_s: 1 },
  { kind: 'rate_limited', retry_after_s: null },
  'server_error',
  'bad_gateway',
  'no_answer',
  'reset',
  'garbage',
  { kind: 'slow', delay_ms: 700 },
  { kind: 'body', body: { count: 0, next: null, previous: null, results: [] } },
  {
    kind: 'body',
    body: { count: -3, next: 'http://169.254.169.254/api/jobs/?offset=5', previous: 7, results: [null, 5, 'x', []] },
  },
  { kind: 'body', body: { results: 'none' } },
  {
    kind: 'body',
    body: { count: 1e9, next: null, results: Array.from({ length: 20 }, (_, i) => odd(100_001 + i * 7)) },
  },
  { kind: 'body', body: { count: 1, next: null, results: [{ id: 100_050, padding: 'x'.repeat(2_000_000) }] } },
];
const LIST = '/api/jobs/$';
const ONE = '/api/jobs/*';
const MOST_REQUESTS = 4;
const LONGEST_CALM_MS = 1_500;

/** A job that may be ours, or another's, with values that no document allows. */
function odd(id: number): object {
  const statuses = [7, '1', 'Processing', null, -5, 0];
  return {
    id,
    status: statuses[id % statuses.length],
    processing_progress: [7, -1, 'half', null][id % 4],
    eta_s: [-5, 'soon', 1e300, null][id % 4],
    cost_usd: ['1e9', '-3', 12.5, {}][id % 4],
    output_video: { id: 'x', file: 'javascript:alert(1)' },
    started: '2999-01-01T00:00:00Z',
  };
}

/** Answers a few calls of somebody in an odd way, again and again, until it is stopped. Returns how many. */
export async function rage(
  control: SimulatorControl,
  tokens: readonly string[],
  random: Random,
  stopping: AbortSignal,
): Promise<number> {
  let applied = 0;
  while (!stopping.aborted) {
    const path = random.chance(0.7) ? LIST : ONE;
    const match = { method: 'GET', path, token: random.pick(tokens) };
    const { id } = control.addFault({ match, fault: random.pick(FAULTS), times: random.whole(1, MOST_REQUESTS) });
    await sleep(random.whole(0, LONGEST_CALM_MS), undefined, { signal: stopping }).catch(() => undefined);
    applied += control.listFaults().find((rule) => rule.id === id)?.applied ?? 0;
    control.removeFault(id);
  }
  control.clearFaults();
  return applied;
}
