import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { LoopRunner } from '../../common/loops/loop-runner.js';
import { Metrics } from '../../common/metrics.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { DeliveryQueuesStore } from './delivery-queues.store.js';

const QUEUES_A_TICK = 1_000;
const INTERVAL_MS = 5_000;

/** Lets go, a bounded batch at a time, what was kept for endpoints that take webhooks again; looks how long webhooks wait. */
@Injectable()
export class WebhooksSweeper implements OnApplicationBootstrap {
  constructor(
    private readonly queues: DeliveryQueuesStore,
    private readonly wakeUps: WakeUps,
    private readonly metrics: Metrics,
    private readonly loops: LoopRunner,
  ) {}

  onApplicationBootstrap(): void {
    this.loops.start('webhook-sweeper', INTERVAL_MS, { tick: () => this.tick(), drain: () => Promise.resolve() });
  }

  /** True when there may be more to let go. */
  async tick(): Promise<boolean> {
    const released = await this.queues.releaseHeldAnyTenant(QUEUES_A_TICK);
    if (released > 0) this.wakeUps.ring('deliveries');
    this.metrics.longestDue.set(await this.queues.findLongestDueAnyTenant());
    return released === QUEUES_A_TICK;
  }
}
