import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { LoopRunner } from '../../common/loops/loop-runner.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { DeliveriesStore } from './deliveries.store.js';
import { DeliveryQueuesStore } from './delivery-queues.store.js';

const QUEUES_A_TICK = 1_000;
const OLD_A_TICK = 500;
const INTERVAL_MS = 5_000;

/**
 * Lets go, a bounded batch at a time, what was kept for endpoints that take webhooks again, and removes old webhooks that
 * are not about a job: those of jobs go with them.
 */
@Injectable()
export class WebhooksSweeper implements OnApplicationBootstrap {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly queues: DeliveryQueuesStore,
    private readonly deliveries: DeliveriesStore,
    private readonly wakeUps: WakeUps,
    private readonly loops: LoopRunner,
  ) {}

  onApplicationBootstrap(): void {
    this.loops.start('webhook-sweeper', INTERVAL_MS, { tick: () => this.tick(), drain: () => Promise.resolve() });
  }

  /** True when there may be more. */
  async tick(): Promise<boolean> {
    const released = await this.queues.releaseHeldAnyTenant(QUEUES_A_TICK);
    if (released > 0) this.wakeUps.ring('deliveries');
    const removed = await this.deliveries.deleteOldWithoutJobAnyTenant(this.config.retentionDays, OLD_A_TICK);
    return released === QUEUES_A_TICK || removed === OLD_A_TICK;
  }
}
