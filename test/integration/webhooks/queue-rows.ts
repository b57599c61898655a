import { randomUUID } from 'node:crypto';
import type { Lease } from '../../../src/common/loops/lease.js';
import type { ClaimedQueue } from '../../../src/modules/webhooks/delivery-claims.store.js';
import type { Stage } from '../../support/stage.js';

/** Queues of a receiver that takes nothing now. */
export const WAITING = 20_000;
export const DUE = 20;

/** Rows as changes of jobs leave them, one a second into the past. */
export async function fill(
  stage: Stage,
  tenantId: string,
  count: number,
  status: string,
  origin: string,
): Promise<void> {
  await stage.sql(
    `with job as (
       insert into jobs (id, tenant_id, account_id, kind, status, input, finished_at, created_at)
       select gen_random_uuid(), t.id, t.account_id, 'video', 'finished', '{}', now(), now() - n * interval '1 second'
         from tenants t, generate_series(1, $2::int) n where t.id = $1
       returning id, tenant_id, created_at
     ), queue as (
       insert into webhook_queues (id, tenant_id, origin, due_at)
       select j.id, j.tenant_id, $4, now() - interval '1 minute' from job j where $3 <> 'delivered'
     )
     insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body, status, created_at)
     select j.id, j.tenant_id, j.id, j.id, 2, 'job.finished', $4 || '/', repeat('x', 700), $3, j.created_at from job j`,
    [tenantId, count, status, origin],
  );
}

/** Webhooks of an endpoint as deliveries leave them, the newest so many seconds ago. */
export async function fillEndpoint(
  stage: Stage,
  tenantId: string,
  endpointId: string,
  ...parts: { status: string; count: number; agoSeconds: number }[]
): Promise<void> {
  const url = 'https://endpoint.example.com/';
  await stage.sql(
    `insert into webhook_endpoints (id, tenant_id, url, origin, events) values ($1, $2, $3, 'https://endpoint.example.com', '{}')`,
    [endpointId, tenantId, url],
  );
  for (const { status, count, agoSeconds } of parts) {
    await stage.sql(
      `insert into webhook_deliveries (id, tenant_id, endpoint_id, queue_id, sequence, event_type, url, body, status, created_at)
       select gen_random_uuid(), $1, $2, gen_random_uuid(), 1, 'job.finished', $3, repeat('x', 700), $4,
              now() - ($5::int + n) * interval '1 second'
         from generate_series(1, $6::int) n`,
      [tenantId, endpointId, url, status, agoSeconds, count],
    );
  }
}

/**
 * What is due, and what waits.
 *
 * @returns what is due, under way
 */
export async function fillQueues(
  stage: Stage,
  tenantId: string,
  lease: Lease,
  changed: { id: string; origin: string },
): Promise<ClaimedQueue[]> {
  await fill(stage, tenantId, WAITING, 'failing', 'https://dead.example.com');
  await fill(stage, tenantId, DUE, 'pending', 'https://alive.example.com');
  const waiting = `insert into webhook_queues (id, tenant_id, endpoint_id, origin, due_at)
    select gen_random_uuid(), $1, $2, $3, now() + interval '1 hour' from generate_series(1, $4::int)`;
  await stage.sql(waiting, [tenantId, randomUUID(), 'https://elsewhere.example.com', WAITING]);
  await stage.sql(waiting, [tenantId, changed.id, changed.origin, DUE]);
  await stage.sql(
    `insert into webhook_queues (id, tenant_id, endpoint_id, origin) values (gen_random_uuid(), $1, $2, 'https://paused.example.com')`,
    [tenantId, randomUUID()],
  );
  return stage.sql<ClaimedQueue>(
    `update webhook_queues set lease_token = $1, due_at = now() + interval '1 hour'
      where id in (select id from webhook_deliveries where status = 'pending') returning id as "queueId", version`,
    [lease.token],
  );
}
