import type { AttemptRow, DeliveryRecord } from './deliveries.store.js';
import type { AttemptResource, DeliveryDetailResource, DeliveryResource } from './webhook-deliveries.resource.dto.js';

/** Field by field, so that a new column never leaks. */
export function deliveryResource(delivery: DeliveryRecord): DeliveryResource {
  return {
    id: delivery.id,
    object: 'webhook_delivery',
    type: delivery.eventType,
    job_id: delivery.jobId,
    endpoint_id: delivery.endpointId,
    sequence: delivery.sequence,
    url: delivery.url,
    status: delivery.status,
    attempt_count: delivery.attempts,
    last_error: delivery.lastError,
    next_attempt_at: delivery.nextAttemptAt?.toISOString() ?? null,
    created_at: delivery.createdAt.toISOString(),
    updated_at: delivery.updatedAt.toISOString(),
  };
}

/** A webhook with its body and attempts (contract, section 7). */
export function deliveryDetail(
  delivery: DeliveryRecord & { body: string },
  attempts: AttemptRow[],
): DeliveryDetailResource {
  return { ...deliveryResource(delivery), body: delivery.body, attempts: attempts.map(attemptResource) };
}

function attemptResource(attempt: AttemptRow): AttemptResource {
  return {
    timestamp: attempt.startedAt.toISOString(),
    manual: attempt.manual,
    url: attempt.url,
    request_headers: attempt.requestHeaders,
    response_status: attempt.responseStatus,
    error_class: attempt.errorClass,
    error: attempt.error,
    duration_ms: {
      dns: attempt.dnsMs,
      connect: attempt.connectMs,
      tls: attempt.tlsMs,
      first_byte: attempt.firstByteMs,
      total: attempt.totalMs,
    },
    response_body: attempt.responseExcerpt,
  };
}
