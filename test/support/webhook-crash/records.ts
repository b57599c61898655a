import pg from 'pg';

/** What a run reads of a webhook. */
export interface DeliveryRow {
  id: string;
  tenant_id: string;
  job_id: string;
  /** a job to one receiver */
  queue_id: string;
  sequence: number;
  event_type: string;
  status: string;
  /** that counted: the claim was still there when they were over */
  attempts: number;
  body: string;
}

/** A line of the attempt log. */
export interface AttemptRow {
  delivery_id: string;
  /** `webhook-timestamp` */
  timestamp: string;
  succeeded: boolean;
  /** the receiver did not answer in time */
  timed_out: boolean;
}

export interface LeaseRow {
  id: string;
  lease_token: string;
  /** on the clock of the database */
  left_ms: number;
}

/** The database as it is, past the gateway. */
export class Records {
  private readonly pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    this.pool.on('error', () => undefined);
  }

  /** How many jobs, webhooks and queues of webhooks have not come to their end. */
  async open(): Promise<{ jobs: number; webhooks: number; queues: number }> {
    const [counts] = await this.query<{ jobs: number; webhooks: number; queues: number }>(
      `select (select count(*) from jobs where status not in ('finished', 'failed', 'canceled'))::int as jobs,
              (select count(*) from webhook_deliveries where status in ('pending', 'failing'))::int as webhooks,
              (select count(*) from webhook_queues)::int as queues`,
    );
    return counts ?? { jobs: 0, webhooks: 0, queues: 0 };
  }

  deliveries(tenantIds: readonly string[]): Promise<DeliveryRow[]> {
    return this.query<DeliveryRow>(
      `select id, tenant_id, job_id, queue_id, sequence, event_type, status, attempts, body from webhook_deliveries
        where tenant_id = any($1) order by id`,
      [tenantIds],
    );
  }

  attempts(tenantIds: readonly string[]): Promise<AttemptRow[]> {
    return this.query<AttemptRow>(
      `select a.delivery_id, a.request_headers->>'webhook-timestamp' as timestamp, a.error_class is null as succeeded,
              a.error_class is not distinct from 'timeout' as timed_out
         from webhook_attempts a join webhook_deliveries d on d.id = a.delivery_id
        where d.tenant_id = any($1) order by a.id`,
      [tenantIds],
    );
  }

  /** How often the webhook that is to be sent next has failed, for each queue. */
  headAttempts(tenantIds: readonly string[]): Promise<{ attempts: number }[]> {
    return this.query<{ attempts: number }>(
      `select distinct on (queue_id) attempts from webhook_deliveries
        where tenant_id = any($1) and status in ('pending', 'failing') order by queue_id, sequence`,
      [tenantIds],
    );
  }

  /** Events that somebody has asked for and that nobody is told of. */
  async untold(): Promise<string[]> {
    const rows = await this.query<{ text: string }>(
      `select concat_ws(' ', e.job_id, e.sequence, e.type, 'is not told to', w.url) as text
         from job_events e
         join jobs j on j.id = e.job_id
         cross join lateral (
               select j.callback_url as url, null::uuid as endpoint_id where e.type = any(j.callback_events)
                union all
               select o.url, o.id from webhook_endpoints o
                where o.tenant_id = j.tenant_id and o.created_at < j.created_at and e.type = any(o.events)) w
        where w.url is not null and not exists (
              select 1 from webhook_deliveries d
               where d.job_id = e.job_id and d.sequence = e.sequence and d.endpoint_id is not distinct from w.endpoint_id)`,
    );
    return rows.map(({ text }) => text);
  }

  leases(): Promise<LeaseRow[]> {
    return this.query<LeaseRow>(
      `select id, lease_token, extract(epoch from due_at - now())::float8 * 1000 as left_ms
         from webhook_queues where lease_token is not null`,
    );
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.pool.query<T>(text, values)).rows;
  }
}
