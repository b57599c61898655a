import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Lease } from '../../common/loops/lease.js';
import { LoopRunner } from '../../common/loops/loop-runner.js';
import { Occupancy } from '../../common/loops/occupancy.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import { OutboundClient } from '../../common/outbound/outbound-client.js';
import { DeliveriesStore, type ClaimedDelivery } from './deliveries.store.js';
import { DeliveryWakeUp } from './delivery-wake-up.js';
import { verdictOf, type Verdict } from './retry-schedule.js';
import { webhookHeaders } from './signature.js';
import { SigningSecrets } from './signing-secrets.js';

/** Attempts under way at once in this process. */
const MAX_IN_FLIGHT = 200;
/** Of these, to one receiver: one that never answers costs so many places and no more. */
const MAX_IN_FLIGHT_AN_ORIGIN = 32;
/** A claim is worth a statement when at least this much of the capacity is free. */
const MIN_CLAIM = 20;
const LEASE_MARGIN_MS = 10_000;
const INTERVAL_MS = 1_000;
/** A deleted tenant has no secrets, and nobody could verify what it sends. */
const UNSIGNABLE: Verdict = { status: 'exhausted', retryInMs: null, error: 'the tenant was deleted' };

/**
 * Sends the webhooks that are due. A tick claims as many as there is room for and does not wait for them: a receiver
 * that answers after fifteen seconds costs one place, not a batch.
 */
@Injectable()
export class WebhooksDispatcher implements OnApplicationBootstrap {
  private readonly inFlight = new Set<Promise<void>>();
  private readonly origins = new Occupancy();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly deliveries: DeliveriesStore,
    private readonly secrets: SigningSecrets,
    private readonly outbound: OutboundClient,
    private readonly wakeUp: DeliveryWakeUp,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
    private readonly loops: LoopRunner,
  ) {}

  onApplicationBootstrap(): void {
    this.wakeUp.onRing(
      this.loops.start('dispatcher', INTERVAL_MS, { tick: () => this.tick(), drain: () => this.drain() }),
    );
  }

  /** Claims and starts what is due. True when more may be due and there is room for it. */
  async tick(): Promise<boolean> {
    const room = MAX_IN_FLIGHT - this.inFlight.size;
    if (room < MIN_CLAIM) return false;
    const lease = new Lease(this.config.callbackTimeoutMs + LEASE_MARGIN_MS);
    const busy = this.origins.busy(MAX_IN_FLIGHT_AN_ORIGIN);
    const claimed = await this.deliveries.claimDueAnyTenant(lease, room, { most: MAX_IN_FLIGHT_AN_ORIGIN, busy });
    for (const delivery of claimed) this.start(delivery, lease);
    return claimed.length > 0;
  }

  /** Waits for the attempts under way, which their own wall clock bounds. */
  async drain(): Promise<void> {
    await Promise.all(this.inFlight);
  }

  private start(delivery: ClaimedDelivery, lease: Lease): void {
    this.origins.enter(delivery.origin);
    const attempt = this.attempt(delivery, lease)
      .catch((error: unknown) => {
        // The claim expires and the attempt is made again: at least once.
        this.logger.error(
          { err: error, delivery_id: delivery.id },
          'the outcome of a webhook attempt could not be recorded',
        );
      })
      .finally(() => {
        this.inFlight.delete(attempt);
        this.origins.leave(delivery.origin);
        this.wakeUp.ring();
      });
    this.inFlight.add(attempt);
  }

  private async attempt(delivery: ClaimedDelivery, lease: Lease): Promise<void> {
    const { id, tenantId, url, body, callbackAllowedHosts } = delivery;
    const secrets = await this.secrets.find(tenantId);
    if (secrets.length === 0) return this.record(delivery, lease, UNSIGNABLE);
    if (!lease.covers(this.config.callbackTimeoutMs)) return this.deliveries.release([id], lease.token);
    const headers = webhookHeaders(id, Math.floor(Date.now() / 1000), body, secrets);
    const outcome = await this.outbound.post({ url, headers, body, allowedHosts: callbackAllowedHosts });
    const verdict = verdictOf(outcome, delivery.attempts, this.config.callbackRetryScheduleMs);
    this.metrics.deliveryAttempts.inc({ outcome: outcome.kind === 'response' ? verdict.status : outcome.errorClass });
    await this.record(delivery, lease, verdict);
  }

  private async record({ id, jobId, tenantId }: ClaimedDelivery, lease: Lease, verdict: Verdict): Promise<void> {
    const written = await this.deliveries.mark({ id, leaseToken: lease.token, ...verdict });
    if (!written) this.metrics.lostLeases.inc({ loop: 'dispatcher' });
    if (verdict.status !== 'exhausted') return;
    const fields = { delivery_id: id, job_id: jobId, tenant_id: tenantId, error: verdict.error };
    this.logger.warn(fields, 'a webhook was given up');
  }
}
