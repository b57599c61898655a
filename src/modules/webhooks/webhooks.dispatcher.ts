import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Lease } from '../../common/loops/lease.js';
import { LoopRunner } from '../../common/loops/loop-runner.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import type { OutboundOutcome } from '../../common/outbound/outbound-client.js';
import { UnderWay } from '../../common/loops/under-way.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { DeliveryOutcomesStore, type DeliveryOutcome } from './delivery-outcomes.store.js';
import type { ClaimedDelivery } from './delivery-claims.store.js';
import { DeliveryQueuesStore } from './delivery-queues.store.js';
import { DueSearch } from './due-search.js';
import { EndpointShutdown } from './endpoint-shutdown.js';
import { CONNECTIONS_AN_ORIGIN, PLACES, ReceiverGate, type Places, type Lane } from './receiver-gate.js';
import { GONE, isGone, verdictOf, type Verdict } from './retry-schedule.js';
import { TEST_WEBHOOK_TYPE } from './webhook-types.js';
import { WebhookSender, type Sent } from './webhook-sender.js';

/** A claim is worth a statement when at least so many of the places of quick receivers are free. */
const MIN_FREE = PLACES.proven.all / 4;
const LEASE_MARGIN_MS = 10_000;
const INTERVAL_MS = 1_000;
/** With the attempt that it follows from; without one, nothing was sent. */
type Ruling = Verdict & Partial<Pick<DeliveryOutcome, 'attempt'>>;

/** Nobody could verify it, or nobody wants it any more. */
const TENANT_GONE: Verdict = { status: 'exhausted', retryInMs: null, error: 'the tenant was deleted' };
const ENDPOINT_GONE: Verdict = { status: 'exhausted', retryInMs: null, error: 'the endpoint was deleted' };
/** Since the claim: its secrets are gone. */
const JUST_GONE: Verdict = { ...ENDPOINT_GONE, error: 'the endpoint, or its tenant, was deleted' };

/**
 * Sends the webhooks that are due. A tick claims as many as there are places for and does not wait for them: a receiver
 * that answers after fifteen seconds costs one place, not a batch.
 */
@Injectable()
export class WebhooksDispatcher implements OnApplicationBootstrap {
  private readonly underWay = new UnderWay();
  private readonly gate = new ReceiverGate();
  /** There may be more that is due, for which there was no place. */
  private limited = false;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly search: DueSearch,
    private readonly queues: DeliveryQueuesStore,
    private readonly outcomes: DeliveryOutcomesStore,
    private readonly sender: WebhookSender,
    private readonly shutdown: EndpointShutdown,
    private readonly wakeUps: WakeUps,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
    private readonly loops: LoopRunner,
  ) {}

  onApplicationBootstrap(): void {
    const kick = this.loops.start('dispatcher', INTERVAL_MS, { tick: () => this.tick(), drain: () => this.drain() });
    this.wakeUps.on('deliveries', () => {
      this.search.beginAnew();
      kick();
    });
  }

  /** Claims and starts what is due. True when there may be more for which a place has become free meanwhile. */
  async tick(): Promise<boolean> {
    const places = this.gate.places();
    this.limited = places.lanes.proven < MIN_FREE;
    if (this.limited) return false;
    const lease = new Lease(this.config.callbackTimeoutMs + LEASE_MARGIN_MS);
    const { deliveries: claimed, empty, more } = await this.search.claim(lease, places);
    const held = claimed.filter(({ receiver }) => receiver === 'holds').map(({ queueId }) => queueId);
    for (const delivery of claimed) if (delivery.receiver !== 'holds') this.start(delivery, lease);
    this.limited = isLimited(places, claimed);
    // Nothing is lost when these fail: what they leave is due again when the claim expires.
    if (held.length > 0) await this.queues.hold(held, lease.token);
    if (empty.length > 0) await this.queues.discard(empty, lease.token);
    return more || held.length > 0 || (this.limited && claimed.length > 0);
  }

  /** Waits for the attempts under way, which their own wall clock bounds. */
  async drain(): Promise<void> {
    await this.underWay.drain();
  }

  private start(delivery: ClaimedDelivery, lease: Lease): void {
    const visit = this.gate.enter(delivery.tenantId, delivery.origin);
    const attempt = this.send(delivery, lease)
      .then(async (sent) => {
        // The place is free again before the outcome is written: the receiver has done its part.
        this.gate.leave(visit, sent !== null);
        if (sent) await this.settle(delivery, lease, sent);
      })
      .catch((error: unknown) => {
        // The claim expires and the attempt is made again: at least once.
        const fields = { err: error, delivery_id: delivery.id };
        this.logger.error(fields, 'the outcome of a webhook attempt could not be recorded');
      });
    this.underWay.add(attempt, () => {
      if (this.limited) this.wakeUps.wake('deliveries');
    });
  }

  /** Null when nothing was sent, and that was settled here. */
  private async send(delivery: ClaimedDelivery, lease: Lease): Promise<Sent | null> {
    try {
      if (delivery.receiver === 'gone') {
        await this.record(delivery, lease, ENDPOINT_GONE);
        return null;
      }
      const signed = await this.sender.sign(delivery);
      // After everything that can take time, and before the receiver hears of it.
      const inTime = lease.covers(this.config.callbackTimeoutMs);
      if (signed && inTime) return await this.sender.send(delivery, signed);
      if (signed) await this.queues.release([delivery.queueId], lease.token);
      else await this.record(delivery, lease, delivery.endpointId === null ? TENANT_GONE : JUST_GONE);
    } catch (error) {
      this.logger.error({ err: error, delivery_id: delivery.id }, 'a webhook could not be sent; its claim expires');
    }
    return null;
  }

  private async settle(delivery: ClaimedDelivery, lease: Lease, { outcome, attempt }: Sent): Promise<void> {
    const verdict = this.judge(delivery, outcome);
    this.metrics.deliveryAttempts.inc({ outcome: attempt.error_class ?? 'delivered' });
    await this.record(delivery, lease, { ...verdict, attempt });
    if (isGone(outcome)) await this.disable(delivery, 'gone');
  }

  /** A test is made once: whoever asked for it is looking. Another manual attempt that fails leaves the schedule as it is. */
  private judge({ attempts, hurried, manual, eventType }: ClaimedDelivery, outcome: OutboundOutcome): Verdict {
    const isTest = eventType === TEST_WEBHOOK_TYPE;
    const madeBefore = hurried ? Math.max(0, attempts - 1) : attempts;
    const verdict = verdictOf(outcome, madeBefore, this.config.callbackRetryScheduleMs);
    if (verdict.status === 'delivered' || isGone(outcome) || !(manual || isTest)) return verdict;
    return { ...verdict, status: isTest ? 'exhausted' : 'failing', retryInMs: null };
  }

  private async disable({ tenantId, endpointId, endpointRevision }: ClaimedDelivery, reason: 'gone' | 'failing') {
    if (endpointId === null || endpointRevision === null) return;
    await this.shutdown.disable({ tenantId, endpointId, revision: endpointRevision }, reason);
  }

  private async record(delivery: ClaimedDelivery, lease: Lease, verdict: Ruling): Promise<void> {
    const unsent = verdict.attempt === undefined;
    const marked = await this.outcomes.mark({ attempt: null, unsent, ...verdict, delivery, leaseToken: lease.token });
    if (!marked.written) this.metrics.lostLeases.inc({ loop: 'dispatcher' });
    if (marked.more) this.wakeUps.wake('deliveries');
    if (marked.endpointFailed) await this.disable(delivery, 'failing');
    if (marked.lost) this.tellOfLoss(delivery, verdict);
  }

  /** Whoever asked for a test is looking. */
  private tellOfLoss(delivery: ClaimedDelivery, verdict: Ruling): void {
    const { id, jobId, tenantId, endpointId, eventType } = delivery;
    if (eventType === TEST_WEBHOOK_TYPE) return;
    const reason = reasonOf(verdict);
    this.metrics.givenUp.inc({ reason });
    const fields = {
      reason,
      delivery_id: id,
      job_id: jobId,
      endpoint_id: endpointId,
      tenant_id: tenantId,
      error: verdict.error,
    };
    const message = 'a webhook was given up';
    if (reason === 'endpoint_deleted') this.logger.info(fields, message);
    else this.logger.warn(fields, message);
  }
}

/** Why a webhook is not tried any more. */
function reasonOf(verdict: Ruling): string {
  if (verdict === ENDPOINT_GONE || verdict === JUST_GONE) return 'endpoint_deleted';
  if (verdict === TENANT_GONE) return 'tenant_deleted';
  return verdict.attempt?.response_status === GONE ? 'gone' : 'retries_used_up';
}

/** Whether a claim got all that there were places for, or left out receivers that have none. */
function isLimited({ origins, lanes, tenants, newFree }: Places, claimed: ClaimedDelivery[]): boolean {
  const places = Object.values(origins).flatMap((origin) => [origin, ...Object.values(origin.tenants)]);
  if (places.some(({ free }) => free === 0)) return true;
  if (Object.values(tenants).some((free) => Object.values(free).includes(0))) return true;
  const taken = new Map<string, { free: number; count: number }>();
  const take = (key: string, free: number): void => {
    const before = taken.get(key) ?? { free, count: 0 };
    taken.set(key, { ...before, count: before.count + 1 });
  };
  const byLane: Record<Lane, number> = { proven: 0, new: 0, penalised: 0 };
  for (const { origin, tenantId } of claimed) {
    const receiver = origins[origin]?.tenants[tenantId];
    const lane = receiver?.lane ?? 'new';
    byLane[lane] += 1;
    take(`${tenantId} ${lane}`, tenants[tenantId]?.[lane] ?? PLACES[lane].tenant);
    take(`${tenantId} ${origin}`, receiver?.free ?? newFree);
    take(origin, origins[origin]?.free ?? CONNECTIONS_AN_ORIGIN);
  }
  if ([...taken.values()].some(({ free, count }) => count >= free)) return true;
  return (Object.keys(lanes) as Lane[]).some((lane) => byLane[lane] >= lanes[lane]);
}
