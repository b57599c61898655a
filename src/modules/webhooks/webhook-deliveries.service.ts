import { Injectable } from '@nestjs/common';
import { Problem } from '../../common/errors/problem.js';
import { Cursors, type Page, type PagePosition } from '../../common/http/cursor.js';
import { DEFAULT_PAGE } from '../../common/http/page.dto.js';
import { isUuid } from '../../common/validation/id.pipe.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { DeliveriesStore } from './deliveries.store.js';
import { deliveryDetail, deliveryResource } from './delivery-resource.js';
import { headerOf } from './diagnosis/pasted-headers.js';
import { diagnose } from './diagnosis/signature-diagnosis.js';
import { ManualRetriesStore, MOST_SINGLE, MOST_WAITING, type ReplayRange } from './manual-retries.store.js';
import { RetryAllowance, tooManyWaiting } from './retry-allowance.js';
import type { CancelReplaysDto, ListDeliveriesQuery, ReplayDto, VerifyDto } from './webhook-deliveries.dto.js';
import type {
  CanceledReplaysResource,
  DeliveryDetailResource,
  DeliveryResource,
  DiagnosisResource,
  ReplayResource,
} from './webhook-deliveries.resource.dto.js';
import { WebhookSecretsStore } from './webhook-secrets.store.js';

const ATTEMPTS_SHOWN = 100;
const READ_A_BATCH = 1_000;
const READ_A_REQUEST = 10_000;
const LONGEST_RANGE_MS = 90 * 86_400_000;

/** Looking deliveries up, sending them again, and finding out why a signature does not verify (contract, section 7). */
@Injectable()
export class WebhookDeliveriesService {
  constructor(
    private readonly deliveries: DeliveriesStore,
    private readonly retries: ManualRetriesStore,
    private readonly allowance: RetryAllowance,
    private readonly secrets: WebhookSecretsStore,
    private readonly wakeUps: WakeUps,
    private readonly cursors: Cursors,
  ) {}

  async list(tenantId: string, query: ListDeliveriesQuery): Promise<Page<DeliveryResource>> {
    const { limit = DEFAULT_PAGE, cursor, job_id: jobId, endpoint_id: endpointId, status } = query;
    const list = `webhook-deliveries/${tenantId}`;
    const filter = { jobId, endpointId, status };
    const rows = await this.deliveries.findPage(tenantId, filter, limit + 1, this.cursors.decode(list, cursor));
    return this.cursors.page(list, rows, limit, deliveryResource);
  }

  async get(tenantId: string, id: string): Promise<DeliveryDetailResource> {
    const delivery = await this.deliveries.find(tenantId, id);
    if (!delivery) throw notFound();
    return deliveryDetail(delivery, await this.deliveries.findAttempts(tenantId, id, ATTEMPTS_SHOWN));
  }

  /** One attempt more, at once, outside the order; whatever the state of the delivery is, and as often as it is asked for. */
  async retry(tenantId: string, id: string): Promise<DeliveryResource> {
    const delivery = await this.deliveries.find(tenantId, id);
    if (!delivery) throw notFound();
    if (delivery.endpointGone) throw new Problem('invalid_state', 'Its endpoint was deleted.');
    await this.allowance.mustAllow(tenantId, MOST_WAITING + MOST_SINGLE);
    await this.retries.insert(tenantId, delivery);
    this.wakeUps.ring('deliveries');
    return deliveryResource(delivery);
  }

  /** @throws Problem 400 on `since`, `until`, `cursor`; 429 while too much waits of what was asked for before */
  async replay(tenantId: string, dto: ReplayDto): Promise<ReplayResource> {
    const list = `webhook-replay/${tenantId}`;
    const range = rangeOf(dto, await this.retries.findNow());
    let after: PagePosition | null | undefined = this.cursors.decode(list, dto.cursor ?? undefined);
    let [replayed, read] = [0, 0];
    do {
      const batch = await this.retries.insertBatch(tenantId, range, after ?? undefined, READ_A_BATCH);
      if (batch === null && read === 0) throw tooManyWaiting(MOST_WAITING);
      if (batch === null) break;
      replayed += batch.count;
      read += batch.read;
      after = batch.last;
      this.wakeUps.ring('deliveries');
    } while (after && read < READ_A_REQUEST);
    const next = after ? this.cursors.seal(list, `${after.createdAt.getTime()}/${after.id}`) : null;
    return { object: 'webhook_replay', replayed, next_cursor: next };
  }

  /** Takes back what waits of earlier replays; what is under way is not called back. */
  async cancelReplays(
    tenantId: string,
    { endpoint_id: endpointId }: CancelReplaysDto,
  ): Promise<CanceledReplaysResource> {
    return { object: 'webhook_replay', canceled: await this.retries.cancelReplays(tenantId, endpointId ?? null) };
  }

  /** What a receiver got, held against what was sent and what signs. */
  async verify(tenantId: string, { headers, body, secret }: VerifyDto): Promise<DiagnosisResource> {
    const known = await this.secrets.findAll(tenantId);
    const id = Object.entries(headers)
      .find(([name]) => headerOf(name) === 'webhook-id')?.[1]
      .trim();
    const delivery = id && isUuid(id) ? await this.deliveries.find(tenantId, id) : null;
    const sent = delivery && { owner: ownerOf(delivery), body: delivery.body };
    const owned = known.map((each) => ({ ...each, owner: ownerOf(each) }));
    const pasted = { headers, body, ...(secret === undefined || secret === null ? {} : { secret }) };
    return { object: 'webhook_diagnosis', ...diagnose(pasted, owned, sent, new Date()) };
  }
}

function rangeOf({ since: sinceText, until, endpoint_id: endpointId, status }: ReplayDto, now: Date): ReplayRange {
  const [sinceMs, nowMs] = [Date.parse(sinceText), now.getTime()];
  if (sinceMs >= nowMs) throw Problem.invalid({ since: ['must be in the past'] });
  // Nothing has happened later than now.
  const untilMs = until ? Math.min(Date.parse(until), nowMs) : nowMs;
  if (untilMs <= sinceMs) throw Problem.invalid({ until: ['must be after since'] });
  if (untilMs - sinceMs > LONGEST_RANGE_MS) {
    throw Problem.invalid({ since: [`must not be more than 90 days before ${until ? 'until' : 'now'}`] });
  }
  return {
    since: new Date(sinceMs),
    until: new Date(untilMs),
    endpointId: endpointId ?? null,
    status: status ?? null,
  };
}

function notFound(): Problem {
  return Problem.notFound('The webhook delivery');
}

/** As a diagnosis names it. */
function ownerOf({ endpointId }: { endpointId: string | null }): string {
  return endpointId ?? 'callback_url';
}
