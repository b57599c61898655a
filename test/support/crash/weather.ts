import { setTimeout as sleep } from 'node:timers/promises';
import type { SimulatorControl } from '../../../simulator/control.js';
import type { Fault, FaultKind } from '../../../simulator/faults.js';
import type { Random } from './random.js';

const CREATES = '*from-url/$';
const LISTS = ['/api/jobs/$', '/api/videos/$', '/api/restored-videos/$'] as const;

/** Probabilities, each of what the ones above have left over. */
const CREATE_FAULTS: readonly (readonly [number, Fault | FaultKind])[] = [
  [0.03, 'no_answer'],
  [0.05, 'no_answer_after_commit'],
  [0.03, 'reset'],
  [0.05, 'reset_after_commit'],
  [0.03, 'error_after_commit'],
  [0.03, 'server_error'],
  [0.02, 'bad_gateway'],
  [0.02, { kind: 'garbage', commit: true }],
  [0.02, { kind: 'garbage', commit: false }],
  [0.04, { kind: 'slow', delay_ms: 300 }],
  // Longer than the gateway waits: the job appears after its call, but within the grace.
  [0.04, { kind: 'slow', delay_ms: 1_700 }],
  [0.02, { kind: 'slow', delay_ms: 1_200, commit: true }],
  [0.02, { kind: 'rate_limited', retry_after_s: 1 }],
];

const LIST_FAULTS: readonly (readonly [number, Fault | FaultKind])[] = [
  [0.03, 'server_error'],
  [0.02, 'reset'],
  [0.01, 'no_answer'],
  [0.02, 'garbage'],
  [0.04, { kind: 'slow', delay_ms: 200 }],
];

const EMPTY_PAGE = { count: 0, next: null, previous: null, results: [] };
const EMPTY_MS = 150;
/** Between two moments in which a list is empty. Longer than a look takes: no look finds several lists empty. */
const SHORTEST_CALM_MS = 2_500;
const LONGEST_CALM_MS = 4_500;

/** What is wrong with TensorPix during a run. */
export class Weather {
  private stopped = false;
  private applied = 0;

  constructor(
    private readonly control: SimulatorControl,
    private readonly random: Random,
  ) {}

  /** How many requests met a fault. */
  get faults(): number {
    return this.applied + this.control.listFaults().reduce((sum, { applied }) => sum + applied, 0);
  }

  /** Faults from here on; returns when they are cleared. */
  async rage(): Promise<void> {
    for (const [probability, fault] of CREATE_FAULTS)
      this.control.addFault({ match: { method: 'POST', path: CREATES }, probability, fault });
    for (const path of LISTS)
      for (const [probability, fault] of LIST_FAULTS)
        this.control.addFault({ match: { method: 'GET', path }, probability, fault });
    this.control.addFault({ match: { method: 'GET', path: '/api/jobs/' }, probability: 0.02, fault: 'server_error' });
    while (!this.stopped) await this.emptyList();
  }

  clear(): void {
    this.stopped = true;
    this.applied = this.faults;
    this.control.clearFaults();
  }

  /** One of the lists shows nothing for a moment. */
  private async emptyList(): Promise<void> {
    const path = this.random.pick(LISTS);
    await sleep(this.random.whole(SHORTEST_CALM_MS, LONGEST_CALM_MS));
    if (this.stopped) return;
    const { id } = this.control.addFault({ match: { method: 'GET', path }, fault: { kind: 'body', body: EMPTY_PAGE } });
    await sleep(EMPTY_MS);
    this.applied += this.control.listFaults().find((rule) => rule.id === id)?.applied ?? 0;
    this.control.removeFault(id);
  }
}
