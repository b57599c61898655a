import { Inject, Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Problem } from '../../common/errors/problem.js';
import { Cursors, type Page } from '../../common/http/cursor.js';
import { DEFAULT_PAGE, type PageQuery } from '../../common/http/page.dto.js';
import { Logger } from '../../common/logging/logger.js';
import { callbackOrigin, checkCallbackUrl, operatorPolicy } from '../../common/outbound/callback-url.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import type { CurrentTenant } from '../tenants/auth.guard.js';
import { DeliveriesStore } from './deliveries.store.js';
import { DeliveryQueuesStore } from './delivery-queues.store.js';
import { deliveryResource } from './delivery-resource.js';
import { EndpointHeaders } from './endpoint-headers.js';
import { MOST_SINGLE, MOST_WAITING } from './manual-retries.store.js';
import { RetryAllowance } from './retry-allowance.js';
import { SigningSecrets } from './signing-secrets.js';
import type { DeliveryResource } from './webhook-deliveries.resource.dto.js';
import { endpointResource } from './webhook-endpoint-resource.js';
import {
  DEFAULT_OVERLAP_SECONDS,
  type CreateEndpointDto,
  type EndpointResource,
  type EndpointWithSecretResource,
  type UpdateEndpointDto,
} from './webhook-endpoints.dto.js';
import { WebhookEndpointsStore, type EndpointRecord } from './webhook-endpoints.store.js';
import { WebhookSecretsStore } from './webhook-secrets.store.js';
import { ENDPOINT_WEBHOOK_TYPES, TEST_WEBHOOK_TYPE } from './webhook-types.js';

/** Every event is written once for each of them. */
const MOST_ENDPOINTS = 20;
const RELEASED_AT_ONCE = 1_000;

/** Standing endpoints (contract, section 7). */
@Injectable()
export class WebhookEndpointsService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly endpoints: WebhookEndpointsStore,
    private readonly secrets: WebhookSecretsStore,
    private readonly signing: SigningSecrets,
    private readonly headers: EndpointHeaders,
    private readonly deliveries: DeliveriesStore,
    private readonly allowance: RetryAllowance,
    private readonly queues: DeliveryQueuesStore,
    private readonly wakeUps: WakeUps,
    private readonly cursors: Cursors,
    private readonly logger: Logger,
  ) {}

  /** @throws Problem 400 on `url`, 409 when the tenant has too many */
  async create(tenant: CurrentTenant, dto: CreateEndpointDto): Promise<EndpointWithSecretResource> {
    this.checkUrl(tenant, dto.url);
    const id = uuidv7();
    const { secret, row } = this.secrets.newFirst({ tenantId: tenant.id, endpointId: id });
    const endpoint = await this.endpoints.insert(
      {
        id,
        tenantId: tenant.id,
        url: dto.url,
        description: dto.description ?? '',
        events: dto.events ?? ENDPOINT_WEBHOOK_TYPES.filter((type) => type !== 'job.progress'),
        headersCiphertext: this.headers.seal(tenant.id, id, dto.headers ?? {}),
      },
      row,
      MOST_ENDPOINTS,
    );
    if (!endpoint) throw new Problem('invalid_state', `A tenant has at most ${MOST_ENDPOINTS} webhook endpoints.`);
    return { ...this.resource(endpoint), secret };
  }

  async list(tenant: CurrentTenant, { limit = DEFAULT_PAGE, cursor }: PageQuery): Promise<Page<EndpointResource>> {
    const list = `webhook-endpoints/${tenant.id}`;
    const rows = await this.endpoints.findPage(tenant.id, limit + 1, this.cursors.decode(list, cursor));
    return this.cursors.page(list, rows, limit, (row) => this.resource(row));
  }

  async get(tenant: CurrentTenant, id: string): Promise<EndpointResource> {
    return this.resource(found(await this.endpoints.find(tenant.id, id)));
  }

  /** One that is enabled again gets what was kept for it; then, and at another URL, what waits for a retry is tried at once. */
  async update(tenant: CurrentTenant, id: string, dto: UpdateEndpointDto): Promise<EndpointResource> {
    const { url, events, description, headers, status } = dto;
    if (url !== undefined) this.checkUrl(tenant, url);
    const changed = await this.endpoints.update(tenant.id, id, {
      ...(url !== undefined && { url }),
      ...(events !== undefined && { events }),
      ...(description !== undefined && { description }),
      ...(headers !== undefined && { headersCiphertext: this.headers.seal(tenant.id, id, headers ?? {}) }),
      ...(status !== undefined && { status }),
    });
    if (!changed) throw notFound();
    // Only then: a client that sets what is set already, again and again, must not have everything tried each time.
    if (changed.isAnew) await this.hurry(changed.before, changed.after);
    if (status === 'enabled') {
      await this.queues.releaseHeldAnyTenant(RELEASED_AT_ONCE);
      this.wakeUps.ring('deliveries');
    }
    return this.resource(changed.after);
  }

  async delete(tenant: CurrentTenant, id: string): Promise<void> {
    const endpoint = found(await this.endpoints.find(tenant.id, id));
    if (!(await this.endpoints.delete(tenant.id, id))) throw notFound();
    this.signing.forget({ tenantId: tenant.id, endpointId: id });
    await this.hurry(endpoint);
  }

  async rotateSecret(
    tenant: CurrentTenant,
    id: string,
    overlapSeconds: number | null | undefined,
  ): Promise<EndpointWithSecretResource> {
    const endpoint = found(await this.endpoints.find(tenant.id, id));
    const owner = { tenantId: tenant.id, endpointId: id };
    const secret = await this.secrets.rotate(owner, overlapSeconds ?? DEFAULT_OVERLAP_SECONDS);
    if (secret === null) throw notFound();
    this.signing.forget(owner);
    return { ...this.resource(endpoint), secret };
  }

  /**
   * Sends `webhook.test`, once, whatever the endpoint's state is.
   *
   * @throws Problem 429 while too much waits of what was asked for before
   */
  async test(tenant: CurrentTenant, id: string): Promise<DeliveryResource> {
    const endpoint = found(await this.endpoints.find(tenant.id, id));
    await this.allowance.mustAllow(tenant.id, MOST_WAITING + MOST_SINGLE);
    const timestamp = new Date().toISOString();
    const body = JSON.stringify({ type: TEST_WEBHOOK_TYPE, timestamp, data: endpointResource(endpoint) });
    const delivery = await this.deliveries.insertTest(endpoint, body);
    this.wakeUps.ring('deliveries');
    return deliveryResource(delivery);
  }

  /** The change stands whatever becomes of this: what is not hurried comes by its schedule. */
  private async hurry({ id, tenantId, url }: EndpointRecord, after?: EndpointRecord): Promise<void> {
    // An event that came since the change has taken its queue along to the new one.
    const origins = new Set([url, after?.url ?? url].map(callbackOrigin));
    try {
      for (const origin of origins) await this.queues.hurry(tenantId, id, origin);
    } catch (error) {
      const fields = { err: error, endpoint_id: id, tenant_id: tenantId };
      this.logger.error(fields, 'the webhooks that wait for a retry at a changed endpoint could not be hurried');
    }
    this.wakeUps.ring('deliveries');
  }

  private checkUrl(tenant: CurrentTenant, url: string): void {
    const policy = { ...operatorPolicy(this.config), allowedHosts: tenant.callbackAllowedHosts };
    const verdict = checkCallbackUrl(url, policy);
    if (!verdict.ok) throw Problem.invalid({ url: [verdict.reason] });
  }

  private resource(endpoint: EndpointRecord): EndpointResource {
    const { id, tenantId, headersCiphertext } = endpoint;
    return { ...endpointResource(endpoint), headers: this.headers.read(tenantId, id, headersCiphertext) };
  }
}

function found(endpoint: EndpointRecord | null): EndpointRecord {
  if (!endpoint) throw notFound();
  return endpoint;
}

function notFound(): Problem {
  return Problem.notFound('The webhook endpoint');
}
