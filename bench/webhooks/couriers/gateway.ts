import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { randomBytes } from 'node:crypto';
import { v7 as uuid } from 'uuid';
import { migrate } from '../../../prisma/migrate.js';
import { loadBuilt } from '../../support/built.js';
import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { ATTEMPT_TIMEOUT_MS } from '../settings.js';
import { openPool, WebhookRows } from '../webhook-rows.js';

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

/** The gateway's dispatcher with everything on: order, attempt log, vetted addresses, penalties. */
class Gateway implements Courier {
  private app: NestFastifyApplication;
  private loop: { end: () => Promise<void> } | null = null;
  private stopped = false;

  constructor(
    readonly secret: string,
    private readonly rows: WebhookRows,
    private readonly boot: () => Promise<NestFastifyApplication>,
    app: NestFastifyApplication,
  ) {
    this.app = app;
  }

  /** A new application has new connections to the receivers. Not in `stop`, which is measured. */
  async clear(): Promise<void> {
    if (this.stopped) this.app = await this.boot();
    this.stopped = false;
    await this.rows.clear();
  }

  enqueueAll(deliveries: Delivery[]): Promise<void> {
    return this.rows.insert(deliveries);
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
    await this.rows.insert([delivery]);
    const nowMs = monotonicMs();
    this.wakeUps.wake('deliveries');
    return nowMs;
  }

  async stop(): Promise<void> {
    await this.loop?.end();
    this.loop = null;
    this.stopped = true;
    await shutDown(this.app);
  }

  countLeft(): Promise<number> {
    return this.rows.countOpen();
  }

  private get wakeUps() {
    return this.app.get(WakeUps, { strict: false });
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
  return new Gateway(secret, new WebhookRows(openPool(databaseUrl)), boot, app);
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
