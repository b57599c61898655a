import pg from 'pg';

/** What a run reads of a job's row. */
export interface Row {
  id: string;
  tenant_id: string;
  account_id: string;
  kind: 'video' | 'image';
  status: string;
  status_reason: string | null;
  tensorpix_id: number | null;
  attempt: number;
  strict: boolean;
  input: Record<string, unknown>;
  error: { code?: string } | null;
  sequence: number;
  lease_expires_at: Date | null;
  due_at: Date | null;
  created_at: Date;
}

export interface EventRow {
  job_id: string;
  sequence: number;
  type: string;
  data: Record<string, unknown>;
  created_at: Date;
}

const COLUMNS = `id, tenant_id, account_id, kind, status, status_reason, tensorpix_id::float8 as tensorpix_id, attempt,
  strict, input, error, sequence, lease_expires_at, due_at, created_at`;
const ENDED = `('finished', 'failed', 'canceled')`;

/** The database as it is, past the gateway. */
export class Records {
  private readonly pool: pg.Pool;

  constructor(databaseUrl: string) {
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    this.pool.on('error', () => undefined);
  }

  rows(): Promise<Row[]> {
    return this.query<Row>(`select ${COLUMNS} from jobs order by id`);
  }

  /** Rows that have not ended. */
  openRows(): Promise<Row[]> {
    return this.query<Row>(`select ${COLUMNS} from jobs where status not in ${ENDED} order by id`);
  }

  /** Changes with every step that a row makes towards its end; being put off again and again is none. */
  async fingerprintOfOpenRows(): Promise<string> {
    const [found] = await this.query<{ print: string | null }>(
      `select md5(string_agg(concat_ws(' ', id, sequence, attempt, clean_looks), ',' order by id)) as print
         from jobs where status not in ${ENDED}`,
    );
    return found?.print ?? '';
  }

  /** Time passes: a result that TensorPix does not show is not waited for any longer (contract, section 4). */
  async letResultsBeMissed(): Promise<void> {
    await this.query(
      `update jobs set result_awaited_since = now() - interval '10 minutes'
        where result_awaited_since > now() - interval '10 minutes'
          and result_awaited_since < now() - interval '5 seconds'`,
    );
  }

  /** Time passes: what waits to be sent, because TensorPix was in trouble, need not wait any longer, unless it waits too long. */
  async letPausesEnd(longestMs: number): Promise<void> {
    await this.query(
      `update jobs set due_at = now()
        where status = 'submitting' and due_at > now() + interval '2 seconds'
          and due_at <= updated_at + $1 * interval '1 millisecond'`,
      [longestMs],
    );
  }

  async ownedIds(): Promise<Set<number>> {
    const rows = await this.query<{ id: number }>(
      `select tensorpix_id::float8 as id from jobs where tensorpix_id is not null`,
    );
    return new Set(rows.map(({ id }) => id));
  }

  events(jobId: string): Promise<EventRow[]> {
    return this.query<EventRow>('select * from job_events where job_id = $1 order by sequence', [jobId]);
  }

  eventsOfType(type: string): Promise<EventRow[]> {
    return this.query<EventRow>('select * from job_events where type like $1 order by job_id, sequence', [type]);
  }

  /** Jobs whose events are not numbered 1, 2, 3… up to the row's own number. */
  async gaps(): Promise<string[]> {
    const rows = await this.query<{ id: string }>(
      `select j.id from jobs j left join job_events e on e.job_id = j.id group by j.id, j.sequence
        having count(*) <> j.sequence or max(e.sequence) is distinct from j.sequence or min(e.sequence) <> 1`,
    );
    return rows.map(({ id }) => id);
  }

  /** Webhooks that are still to be delivered, and those that could not be. */
  async deliveries(): Promise<{ open: number; exhausted: number }> {
    const [found] = await this.query<{ open: number; exhausted: number }>(
      `select count(*) filter (where status in ('pending', 'failing'))::int as open,
              count(*) filter (where status = 'exhausted')::int as exhausted from webhook_deliveries`,
    );
    return found ?? { open: 0, exhausted: 0 };
  }

  async keys(): Promise<{ tenant_id: string; key: string; job_id: string }[]> {
    const [table] = await this.query<{ exists: boolean }>(
      `select to_regclass('idempotency_keys') is not null as exists`,
    );
    return table?.exists ? this.query('select tenant_id, key, job_id from idempotency_keys') : [];
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async query<T extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<T[]> {
    return (await this.pool.query<T>(sql, values)).rows;
  }
}
