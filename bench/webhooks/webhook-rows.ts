import pg from 'pg';
import type { Delivery } from './delivery.js';

const INSERTED_A_STATEMENT = 1_000;

/**
 * Rows as a change of a job leaves them: the delivery in its job's queue. Each has a job of its own, else their order would
 * make them wait for each other.
 */
const ENQUEUE = `
  with given as (
    select g.*, gen_random_uuid() as job_id
      from json_to_recordset($1::json) as g(id uuid, url text, origin text, body text)
  ), tenant as (
    select id, account_id from tenants
  ), job as (
    insert into jobs (id, tenant_id, account_id, kind, status, input, finished_at)
    select g.job_id, t.id, t.account_id, 'video', 'finished', '{}', now() from given g, tenant t
  ), queue as (
    insert into webhook_queues (id, tenant_id, origin, due_at)
    select g.job_id, t.id, g.origin, date_trunc('milliseconds', now()) from given g, tenant t
  )
  insert into webhook_deliveries (id, tenant_id, job_id, queue_id, sequence, event_type, url, body)
  select g.id, t.id, g.job_id, g.job_id, 4, 'job.finished', g.url, g.body from given g, tenant t`;

export function openPool(databaseUrl: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, idleTimeoutMillis: 0 });
  pool.on('error', (error) => console.error(error));
  return pool;
}

/** Webhooks in a database of the gateway, which has one tenant. */
export class WebhookRows {
  constructor(private readonly pool: pg.Pool) {}

  async clear(): Promise<void> {
    await this.pool.query('truncate webhook_attempts, webhook_deliveries, webhook_queues, job_events, jobs cascade');
  }

  async insert(deliveries: Delivery[]): Promise<void> {
    for (let from = 0; from < deliveries.length; from += INSERTED_A_STATEMENT) {
      const some = deliveries.slice(from, from + INSERTED_A_STATEMENT);
      const rows = some.map(({ id, url, body }) => ({ id, url, body, origin: new URL(url).origin }));
      await this.pool.query({ name: 'enqueue', text: ENQUEUE, values: [JSON.stringify(rows)] });
    }
  }

  async countOpen(): Promise<number> {
    const { rows } = await this.pool.query<{ left: number }>(
      `select count(*)::int as left from webhook_deliveries where status = 'pending'`,
    );
    return rows[0]!.left;
  }
}
