import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { migrate } from '../../../prisma/migrate.js';
import { MicroBatcher } from '../../../src/common/loops/micro-batcher.js';
import { UnderWay } from '../../../src/common/loops/under-way.js';
import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { IN_FLIGHT } from '../settings.js';
import { openPool, WebhookRows } from '../webhook-rows.js';
import { WebhookSender } from '../webhook-sender.js';

const LEAST_CLAIMED = IN_FLIGHT / 4;
const OUTCOMES_A_STATEMENT = 500;
const IDLE_MS = 1_000;

const CLAIM = `
  with due as (
    select id from webhook_queues where due_at <= now() order by due_at limit $1 for update skip locked
  ), claimed as (
    update webhook_queues set lease_token = $2, due_at = now() + interval '30 seconds'
     where id = any(array(select id from due)) returning id
  )
  select d.id, d.queue_id, d.url, d.body
    from claimed c
   cross join lateral (
         select * from webhook_deliveries w
          where w.queue_id = c.id and w.status in ('pending', 'failing') order by w.sequence limit 1) d`;

const MARK = `
  with input as (
    select * from json_to_recordset($1::json) as i(
      delivery_id uuid, queue_id uuid, started_at timestamptz, url text, request_headers jsonb, response_status integer, total_ms real)
  ), done as (
    delete from webhook_queues where id = any(array(select queue_id from input)) and lease_token = $2
  ), marked as (
    update webhook_deliveries set status = 'delivered', attempts = 1, updated_at = now()
     where id = any(array(select delivery_id from input))
  )
  insert into webhook_attempts (delivery_id, started_at, manual, url, request_headers, response_status, total_ms)
  select delivery_id, started_at, false, url, request_headers, response_status, total_ms from input`;

interface Claimed extends Delivery {
  queue_id: string;
}

/**
 * (a+) The ceiling over the gateway's tables, with the plainest statements there can be: claim, mark as delivered, log the
 * attempt. It looks at nothing else, and cannot fail. What it reaches is what is left of the ceiling once webhooks are rows.
 */
class PlainStore implements Courier {
  private sender: WebhookSender;
  private running: Promise<void> = Promise.resolve();
  private stopped = true;
  private inFlight = 0;
  private readonly underWay = new UnderWay();
  private readonly outcomes = new MicroBatcher((rows: object[]) => this.mark(rows), {
    maxItems: OUTCOMES_A_STATEMENT,
    concurrency: 1,
  });
  private wake: () => void = () => undefined;
  private readonly lease = randomUUID();

  constructor(
    readonly secret: string,
    private readonly pool: pg.Pool,
    private readonly rows: WebhookRows,
  ) {
    this.sender = new WebhookSender(secret);
  }

  clear(): Promise<void> {
    return this.rows.clear();
  }

  enqueueAll(deliveries: Delivery[]): Promise<void> {
    return this.rows.insert(deliveries);
  }

  async start(): Promise<void> {
    this.sender = new WebhookSender(this.secret);
    this.stopped = false;
    this.running = this.run();
  }

  async enqueue(delivery: Delivery): Promise<number> {
    await this.rows.insert([delivery]);
    const nowMs = monotonicMs();
    this.wake();
    return nowMs;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.wake();
    await this.running;
    await this.underWay.drain();
    await this.sender.close();
  }

  countLeft(): Promise<number> {
    return this.rows.countOpen();
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      let woken = false;
      const waked = new Promise<void>((resolve) => (this.wake = () => ((woken = true), resolve())));
      const free = IN_FLIGHT - this.inFlight;
      if (free >= LEAST_CLAIMED) {
        const { rows } = await this.pool.query<Claimed>({ name: 'claim', text: CLAIM, values: [free, this.lease] });
        for (const row of rows) this.underWay.add(this.attempt(row));
        if (rows.length === free) continue;
      }
      if (woken) continue;
      const timer = setTimeout(this.wake, IDLE_MS);
      await waked;
      clearTimeout(timer);
    }
  }

  private async attempt(claimed: Claimed): Promise<void> {
    this.inFlight += 1;
    const startedAt = new Date();
    const status = await this.sender.send(claimed).then(
      () => 200,
      () => null,
    );
    const attempt = { request_headers: {}, response_status: status, total_ms: Date.now() - startedAt.getTime() };
    const { id: delivery_id, queue_id, url } = claimed;
    this.inFlight -= 1;
    this.wake();
    await this.outcomes.add({ delivery_id, queue_id, url, started_at: startedAt, ...attempt });
  }

  private async mark(rows: object[]): Promise<void[]> {
    await this.pool.query({ name: 'mark', text: MARK, values: [JSON.stringify(rows), this.lease] });
    return rows.map(() => undefined);
  }
}

export async function createCourier({ databaseUrl, secret }: CourierEnvironment): Promise<Courier> {
  await migrate(databaseUrl);
  const pool = openPool(databaseUrl);
  const [account, tenant] = [randomUUID(), randomUUID()];
  await pool.query('insert into tensorpix_accounts (id) values ($1)', [account]);
  await pool.query(
    `insert into tenants (id, name, account_id, token_ciphertext, token_last4) values ($1, 'bench', $2, 'none', 'none')`,
    [tenant, account],
  );
  return new PlainStore(secret, pool, new WebhookRows(pool));
}
