import type { AttemptRecord } from '../../../src/modules/webhooks/attempt-record.js';
import type { ClaimedDelivery } from '../../../src/modules/webhooks/delivery-claims.store.js';
import type { Stage } from '../../support/stage.js';

/** What the log gets of an attempt that was answered with 500. */
export const RECORD: AttemptRecord = {
  started_at: new Date(),
  url: 'https://a.example.com/',
  request_headers: {},
  response_status: 500,
  error_class: 'http',
  error: 'the receiver answered 500',
  dns_ms: null,
  connect_ms: null,
  tls_ms: null,
  first_byte_ms: 1,
  total_ms: 1,
  response_excerpt: '',
};

/** A webhook that is under way, in a queue of its own. */
export async function insertUnderWay(
  stage: Stage,
  tenantId: string,
  leaseToken: string,
  eventType = 'job.queued',
): Promise<ClaimedDelivery> {
  const [row] = await stage.sql<{ id: string; queueId: string }>(
    `with job as (
       insert into jobs (id, tenant_id, account_id, kind, status, input, finished_at)
       select gen_random_uuid(), t.id, t.account_id, 'video', 'finished', '{}', now() from tenants t where t.id = $1
       returning id, tenant_id
     ), queue as (
       insert into webhook_queues (id, tenant_id, origin, due_at, lease_token)
       select j.id, j.tenant_id, 'https://a.example.com', now() + interval '1 minute', $2 from job j
     )
     insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body)
     select gen_random_uuid(), j.tenant_id, j.id, j.id, 2, $3, 'https://a.example.com/', '{}' from job j
     returning id, queue_id as "queueId"`,
    [tenantId, leaseToken, eventType],
  );
  return {
    ...row!,
    ...{ version: 1, manual: false, hurried: false, endpointId: null, endpointRevision: null },
  } as ClaimedDelivery;
}

/** What inserts another webhook into the queue of the one whose id is `$1`: its sequence is `$2`, its type `$3`. */
export const INSERT_LATER = `insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body)
  select gen_random_uuid(), tenant_id, job_id, queue_id, $2, $3, url, body from webhook_deliveries where id = $1`;
