import type { EndpointDisabledReason, EndpointRecord, EndpointStatus } from './webhook-endpoints.store.js';

/** A standing endpoint as others may see it: without its headers, which may hold keys. */
export interface EndpointView {
  id: string;
  object: 'webhook_endpoint';
  url: string;
  description: string;
  events: string[];
  status: EndpointStatus;
  status_reason: EndpointDisabledReason | null;
  failing_since: string | null;
  created_at: string;
  updated_at: string;
}

/** Field by field, so that a new column never leaks. */
export function endpointResource(endpoint: EndpointRecord): EndpointView {
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
