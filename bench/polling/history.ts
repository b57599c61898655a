import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { migrate } from '../../prisma/migrate.js';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { loadBuilt } from '../support/built.js';
import { median } from '../support/load.js';
import { startBenchPostgres, tidyDatabase } from '../support/postgres.js';
import { alignTable, describeMachine } from '../support/report-text.js';
import { addEndedJobs } from './ended-jobs.js';

const TOKEN = 'bench-token-hist';
const ADMIN_KEY = randomBytes(32).toString('hex');
const ACTIVE = 200;
const ROUNDS = 30;
const REMOVED_AT_ONCE = 200;
/** A session that has fallen idle reports what it has read after ten seconds at the latest. */
const STATISTICS_MS = 10_500;
/** Against no history, where a few pages hold everything: what may differ by levels of indexes, and by chance. */
const MOST_TIMES = 2;
const BY_CHANCE = 10;
/** Against a tenth of the history: a level more at most. */
const MOST_TIMES_A_TENTH = 1.5;

/** An operation, made again and again. */
interface Operation {
  name: string;
  prepare?: () => Promise<void>;
  run: () => Promise<void>;
}

interface Cost {
  name: string;
  buffers: number;
  ms: number;
}

/**
 * What a look, a page of the list, a submission and a delivery read in Postgres: without a history, with a tenth of it and
 * with all of it. Prints a table.
 *
 * @returns false when one of them reads much more with all of it than without or with a tenth
 */
export async function runHistory({ jobs }: { jobs: number }): Promise<boolean> {
  const postgres = await startBenchPostgres();
  const simulator = await startSimulator({ tokens: [TOKEN], queueMs: 3_600_000, requestLogSize: 0 });
  const receiver = createServer((_, response) => void response.writeHead(204).end()).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const databaseUrl = await postgres.createDatabase('bench_history');
  await migrate(databaseUrl);
  const bench = await HistoryBench.open(databaseUrl, simulator, receiver);
  try {
    const sizes = [0, Math.ceil(jobs / 10), jobs];
    const costs: Map<string, Cost>[] = [];
    for (const [i, size] of sizes.entries()) {
      console.error(`with ${size} ended jobs`);
      await bench.addHistory(sizes[i - 1] ?? 0, size);
      await tidyDatabase(databaseUrl);
      costs.push(await bench.measure());
    }
    const bytes = await bench.bytesAJob();
    const removed = await bench.removedASecond();
    const header = ['', ...sizes.map((size) => `buffers, ${size} ended`), ...sizes.map((size) => `ms, ${size} ended`)];
    console.log(`${describeMachine()}\n`);
    console.log(alignTable([header, ...bench.names.map((name) => row(costs.map((cost) => cost.get(name)!)))]));
    console.log(
      `\n${bytes.toFixed(0)} bytes a job with one event and one webhook; ${removed.toFixed(0)} removed a second`,
    );
    const [none, tenth, all] = costs;
    return bench.names.every((name) => isFlat(none!.get(name)!, tenth!.get(name)!, all!.get(name)!));
  } finally {
    await bench.close();
    receiver.close();
    await simulator.close();
    await postgres.stop();
  }
}

function isFlat(none: Cost, tenth: Cost, all: Cost): boolean {
  return (
    all.buffers <= MOST_TIMES * none.buffers + BY_CHANCE &&
    all.buffers <= MOST_TIMES_A_TENTH * tenth.buffers + BY_CHANCE
  );
}

function row(costs: Cost[]): string[] {
  return [costs[0]!.name, ...costs.map(({ buffers }) => buffers.toFixed(0)), ...costs.map(({ ms }) => ms.toFixed(1))];
}

class HistoryBench {
  private constructor(
    private readonly app: NestFastifyApplication,
    private readonly pool: pg.Pool,
    private readonly operations: Operation[],
    private readonly shutDown: (app: NestFastifyApplication) => Promise<void>,
  ) {}

  static async open(databaseUrl: string, simulator: Simulator, receiver: Server): Promise<HistoryBench> {
    const { createApp, shutDown } = await loadBuilt<typeof import('../../src/app.setup.js')>('app.setup.js');
    const { parseConfig } =
      await loadBuilt<typeof import('../../src/common/config/config.js')>('common/config/config.js');
    const { Logger } = await loadBuilt<typeof import('../../src/common/logging/logger.js')>('common/logging/logger.js');
    const config = parseConfig({
      DATABASE_URL: databaseUrl,
      TENSORPIX_BASE_URL: simulator.url,
      ADMIN_API_KEY: ADMIN_KEY,
      ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
      GATEWAY_ROLE: 'api',
      CALLBACK_ALLOW_HTTP: 'true',
      CALLBACK_ALLOWED_CIDRS: '127.0.0.0/8',
      LOG_LEVEL: 'warn',
    });
    const app = await createApp(config, new Logger(config.logLevel));
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    const { port } = receiver.address() as AddressInfo;
    return new HistoryBench(app, pool, await operationsOf(app, pool, `http://127.0.0.1:${port}/`), shutDown);
  }

  async measure(): Promise<Map<string, Cost>> {
    const costs = new Map<string, Cost>();
    // What was submitted since the beginning would be looked at, too.
    await this.pool.query(
      `delete from jobs where id in (select id from jobs where status = 'queued' order by created_at, id offset $1)`,
      [ACTIVE],
    );
    for (const { name, prepare, run } of this.operations) {
      // The first ones read what the plans of their statements need.
      for (let i = 0; i < 10; i += 1) await inTurn(prepare, run);
      await delay(STATISTICS_MS);
      const before = await this.buffers();
      const times: number[] = [];
      for (let i = 0; i < ROUNDS; i += 1) {
        await prepare?.();
        const startMs = performance.now();
        await run();
        times.push(performance.now() - startMs);
      }
      await delay(STATISTICS_MS);
      costs.set(name, { name, buffers: ((await this.buffers()) - before) / ROUNDS, ms: median(times) });
    }
    return costs;
  }

  get names(): string[] {
    return this.operations.map(({ name }) => name);
  }

  /** Those beyond `from`, up to `to`. */
  async addHistory(from: number, to: number): Promise<void> {
    await addEndedJobs(this.pool, from, to);
  }

  async bytesAJob(): Promise<number> {
    const { rows } = await this.pool.query<{ bytes: number }>(
      `select sum(pg_total_relation_size(name::regclass))::float8 / (select count(*) from jobs) as bytes
         from unnest('{jobs,job_events,webhook_deliveries}'::text[]) as name`,
    );
    return rows[0]?.bytes ?? Number.NaN;
  }

  /** By the batches of the sweeper. */
  async removedASecond(): Promise<number> {
    const { RetentionStore } = await loadBuilt<typeof import('../../src/modules/jobs/retention.store.js')>(
      'modules/jobs/retention.store.js',
    );
    const retention = this.app.get(RetentionStore, { strict: false });
    const startMs = performance.now();
    let removed = 0;
    for (let i = 0; i < ROUNDS; i += 1)
      removed += (await retention.deleteEndedAnyTenant(0, null, REMOVED_AT_ONCE)).removed;
    return removed / ((performance.now() - startMs) / 1_000);
  }

  async close(): Promise<void> {
    await this.pool.end();
    await this.shutDown(this.app);
  }

  private async buffers(): Promise<number> {
    const { rows } = await this.pool.query<{ n: string }>(
      'select blks_hit + blks_read as n from pg_stat_database where datname = current_database()',
    );
    return Number(rows[0]?.n);
  }
}

async function inTurn(prepare: Operation['prepare'], run: Operation['run']): Promise<void> {
  await prepare?.();
  await run();
}

async function operationsOf(app: NestFastifyApplication, pool: pg.Pool, callbackUrl: string): Promise<Operation[]> {
  const { JobsPoller } = await loadBuilt<typeof import('../../src/modules/jobs/polling/jobs.poller.js')>(
    'modules/jobs/polling/jobs.poller.js',
  );
  const { WebhooksDispatcher } = await loadBuilt<typeof import('../../src/modules/webhooks/webhooks.dispatcher.js')>(
    'modules/webhooks/webhooks.dispatcher.js',
  );
  await app.listen(0, '127.0.0.1');
  const origin = await app.getUrl();
  const ask = async (method: 'GET' | 'POST', url: string, key: string, payload?: object) => {
    const headers = { authorization: `Bearer ${key}`, ...(payload && { 'content-type': 'application/json' }) };
    const answer = await fetch(origin + url, { method, headers, ...(payload && { body: JSON.stringify(payload) }) });
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as { id: string; key: string };
  };
  const tenant = await ask('POST', '/v1/tenants?verify=false', ADMIN_KEY, { name: 'bench', tensorpix_token: TOKEN });
  const { key } = await ask('POST', `/v1/tenants/${tenant.id}/api-keys`, ADMIN_KEY, { name: 'bench' });
  const submit = async (fields: object = {}): Promise<void> => {
    const video_url = `https://media.example.com/${randomBytes(8).toString('hex')}.mp4`;
    await ask('POST', '/v1/jobs', key, { video_url, ml_models: [1], ...fields });
  };
  for (let i = 0; i < ACTIVE; i += 1) await submit();
  const poller = app.get(JobsPoller, { strict: false });
  const dispatcher = app.get(WebhooksDispatcher, { strict: false });
  return [
    {
      name: `a look at ${ACTIVE} jobs`,
      prepare: async () =>
        void (await pool.query('update tenant_paces set poll_due_at = now(), calls_per_second = 50')),
      run: async () => {
        await poller.tick();
        await poller.drain();
      },
    },
    { name: 'a submission', run: () => submit() },
    { name: 'a page of the list', run: async () => void (await ask('GET', '/v1/jobs?limit=100', key)) },
    {
      name: 'a delivery',
      prepare: () => submit({ callback_url: callbackUrl }),
      run: async () => {
        await dispatcher.tick();
        await dispatcher.drain();
      },
    },
  ];
}
