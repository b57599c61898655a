import type { EndpointSnapshotResource } from './webhook-endpoints.dto.js';
import type { EndpointRecord } from './webhook-endpoints.store.js';

/** As others may see it, without its headers, which may hold keys. Field by field, so that a new column never leaks. */
export function endpointResource(endpoint: EndpointRecord): EndpointSnapshotResource {
  return {
    id: endpoint.id,
    object: 'webhook_endpoint',
    url: endpoint.url,
    description: endpoint.description,
    events: endpoint.events,
    status: endpoint.status,
    status_reason: endpoint.statusReason,
    failing_since: endpoint.failingSince?.toISOString() ?? null,
    created_at: endpoint.createdAt.toISOString(),
    updated_at: endpoint.updatedAt.toISOString(),
  };
}
