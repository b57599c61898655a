import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { v7 as uuid } from 'uuid';
import { migrate } from '../../../prisma/migrate.js';
import { loadBuilt } from '../../support/built.js';
import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { ATTEMPT_TIMEOUT_MS } from '../settings.js';

const { createApp, shutDown } = await loadBuilt<typeof import('../../../src/app.setup.js')>('app.setup.js');
const { parseConfig } =
  await loadBuilt<typeof import('../../../src/common/config/config.js')>('common/config/config.js');
const { Logger } = await loadBuilt<typeof import('../../../src/common/logging/logger.js')>('common/logging/logger.js');
const { Loop } = await loadBuilt<typeof import('../../../src/common/loops/loop.js')>('common/loops/loop.js');
const { WakeUps } = await loadBuilt<typeof import('../../../src/common/loops/wake-ups.js')>('common/loops/wake-ups.js');
const { WebhooksDispatcher } = await loadBuilt<typeof import('../../../src/modules/webhooks/webhooks.dispatcher.js')>(
  'modules/webhooks/webhooks.dispatcher.js',
);

const ADMIN_KEY = randomBytes(32).toString('hex');
const TICK_MS = 1_000;
/** Longer than a measurement: what failed is not tried again in it. */
const RETRY_MS = 3_600_000;

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

/** The gateway's dispatcher with everything on: order, attempt log, vetted addresses, penalties. */
class Gateway implements Courier {
  private app: NestFastifyApplication;
  private loop: { end: () => Promise<void> } | null = null;

  constructor(
    readonly secret: string,
    private readonly pool: pg.Pool,
    private readonly boot: () => Promise<NestFastifyApplication>,
    app: NestFastifyApplication,
  ) {
    this.app = app;
  }

  async clear(): Promise<void> {
    await this.pool.query('truncate webhook_attempts, webhook_deliveries, webhook_queues, job_events, jobs cascade');
  }

  async enqueueAll(deliveries: Delivery[]): Promise<void> {
    for (let from = 0; from < deliveries.length; from += 1_000) await this.insert(deliveries.slice(from, from + 1_000));
  }

  async start(): Promise<void> {
    const dispatcher = this.app.get(WebhooksDispatcher, { strict: false });
    const loop = new Loop(
      'dispatcher',
      () => dispatcher.tick(),
      (error: unknown) => console.error(error),
    );
    const timer = setInterval(() => loop.kick(), TICK_MS);
    this.wakeUps.on('deliveries', () => loop.kick());
    loop.kick();
    this.loop = {
      end: async () => {
        clearInterval(timer);
        await loop.stop();
        await dispatcher.drain();
      },
    };
  }

  async enqueue(delivery: Delivery): Promise<number> {
    await this.insert([delivery]);
    const nowMs = monotonicMs();
    this.wakeUps.wake('deliveries');
    return nowMs;
  }

  /** A new application has new connections to the receivers. */
  async stop(): Promise<void> {
    await this.loop?.end();
    this.loop = null;
    await shutDown(this.app);
    this.app = await this.boot();
  }

  async countLeft(): Promise<number> {
    const { rows } = await this.pool.query<{ left: number }>(
      `select count(*)::int as left from webhook_deliveries where status = 'pending'`,
    );
    return rows[0]!.left;
  }

  private get wakeUps() {
    return this.app.get(WakeUps, { strict: false });
  }

  private async insert(deliveries: Delivery[]): Promise<void> {
    const rows = deliveries.map(({ id, url, body }) => ({ id, url, body, origin: new URL(url).origin }));
    await this.pool.query({ name: 'enqueue', text: ENQUEUE, values: [JSON.stringify(rows)] });
  }
}

export async function createCourier({ databaseUrl }: CourierEnvironment): Promise<Courier> {
  await migrate(databaseUrl);
  const config = parseConfig({
    DATABASE_URL: databaseUrl,
    ADMIN_API_KEY: ADMIN_KEY,
    ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    // No loop runs by itself; the dispatcher's is started when it is measured.
    GATEWAY_ROLE: 'api',
    // Nobody listens: the tenant's token is not asked about.
    TENSORPIX_BASE_URL: 'http://127.0.0.1:9',
    CALLBACK_ALLOW_HTTP: 'true',
    CALLBACK_ALLOWED_CIDRS: '127.0.0.0/8',
    CALLBACK_TIMEOUT_MS: String(ATTEMPT_TIMEOUT_MS),
    CALLBACK_RETRY_SCHEDULE_MS: String(RETRY_MS),
    LOG_LEVEL: 'warn',
  });
  const boot = () => createApp(config, new Logger(config.logLevel));
  const app = await boot();
  const secret = await createTenant(app);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, idleTimeoutMillis: 0 });
  pool.on('error', (error) => console.error(error));
  return new Gateway(secret, pool, boot, app);
}

/** @returns the secret of its callbacks */
async function createTenant(app: NestFastifyApplication): Promise<string> {
  const ask = async (method: 'GET' | 'POST', url: string, key: string, payload?: object) => {
    const headers = { authorization: `Bearer ${key}` };
    const answer = await app.inject({ method, url, headers, ...(payload && { payload }) });
    if (answer.statusCode > 299) throw new Error(`${url} answered ${answer.statusCode}: ${answer.body}`);
    return answer.json<{ id: string; key: string; secret: string }>();
  };
  const token = `bench-${uuid()}`;
  const tenant = await ask('POST', '/v1/tenants?verify=false', ADMIN_KEY, { name: 'bench', tensorpix_token: token });
  const { key } = await ask('POST', `/v1/tenants/${tenant.id}/api-keys`, ADMIN_KEY, { name: 'bench' });
  return (await ask('GET', '/v1/webhook-secret', key)).secret;
}
