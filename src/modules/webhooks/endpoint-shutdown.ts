import { Injectable } from '@nestjs/common';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { endpointResource } from './webhook-endpoint-resource.js';
import { WebhookEndpointsStore, type EndpointDisabledReason } from './webhook-endpoints.store.js';
import { ENDPOINT_DISABLED_TYPE } from './webhook-types.js';

/** Disables endpoints that want nothing more or have failed for too long, and tells the tenant's others. */
@Injectable()
export class EndpointShutdown {
  constructor(
    private readonly endpoints: WebhookEndpointsStore,
    private readonly wakeUps: WakeUps,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {}

  async disable(
    { tenantId, endpointId, revision }: { tenantId: string; endpointId: string; revision: number },
    reason: EndpointDisabledReason,
  ): Promise<void> {
    const disabled = await this.endpoints.disable(tenantId, endpointId, revision, reason, (endpoint) =>
      JSON.stringify({
        type: ENDPOINT_DISABLED_TYPE,
        timestamp: endpoint.updatedAt.toISOString(),
        data: { ...endpointResource(endpoint), url: withoutQuery(endpoint.url) },
      }),
    );
    if (!disabled) return;
    this.metrics.endpointsDisabled.inc({ reason });
    this.logger.warn({ endpoint_id: endpointId, tenant_id: tenantId, reason }, 'a webhook endpoint was disabled');
    this.wakeUps.ring('deliveries');
  }
}

/** The tenant's other receivers need not learn what a query may hold. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
