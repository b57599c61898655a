import type { WorkerPool, WorkerUtils } from 'graphile-worker';
import pg from 'pg';
import { monotonicMs } from '../../support/monotonic-clock.js';
import type { Courier, CourierEnvironment } from '../courier.js';
import type { Delivery } from '../delivery.js';
import { IN_FLIGHT } from '../settings.js';
import { WebhookSender } from '../webhook-sender.js';

// Its switch for the log of successes, which it reads when it is loaded: else each job's line is made, and thrown away.
process.env.NO_LOG_SUCCESS = '1';
const { Logger, makeWorkerUtils, runTaskList } = await import('graphile-worker');

const TASK = 'deliver';
const POOL_SIZE = 25;

/** The settings of its own performance page (worker.graphile.org/docs/performance), but for the concurrency. */
const PRESET = {
  worker: {
    concurrentJobs: IN_FLIGHT,
    maxPoolSize: POOL_SIZE,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    logger: new Logger(() => () => undefined),
  },
} satisfies GraphileConfig.Preset;

/** (b) graphile-worker, with its local queue and batched outcomes. */
class GraphileWorker implements Courier {
  readonly secret: string;
  private running: { workers: WorkerPool; sender: WebhookSender } | null = null;

  constructor(
    { secret }: CourierEnvironment,
    private readonly pool: pg.Pool,
    private readonly utils: WorkerUtils,
  ) {
    this.secret = secret;
  }

  async clear(): Promise<void> {
    await this.pool.query('truncate graphile_worker._private_jobs');
  }

  async enqueueAll(deliveries: Delivery[]): Promise<void> {
    await this.utils.addJobs(deliveries.map((payload) => ({ identifier: TASK, payload, maxAttempts: 1 })));
  }

  async start(): Promise<void> {
    const sender = new WebhookSender(this.secret);
    const tasks = { [TASK]: (delivery: unknown) => sender.send(delivery as Delivery) };
    // New options each time: the library keeps what it makes of them.
    const workers = runTaskList({ preset: PRESET, noHandleSignals: true }, tasks, this.pool);
    this.running = { workers, sender };
  }

  async enqueue(delivery: Delivery): Promise<number> {
    await this.utils.addJob(TASK, delivery, { maxAttempts: 1 });
    return monotonicMs();
  }

  async stop(): Promise<void> {
    await this.running?.workers.gracefulShutdown();
    await this.running?.sender.close();
    this.running = null;
  }

  /** A completed job's row is gone; one that has failed for good has used its attempt. */
  async countLeft(): Promise<number> {
    const { rows } = await this.pool.query<{ left: number }>(
      'select count(*)::int as left from graphile_worker.jobs where attempts < max_attempts or locked_at is not null',
    );
    return rows[0]!.left;
  }
}

export async function createCourier(environment: CourierEnvironment): Promise<Courier> {
  const pool = new pg.Pool({ connectionString: environment.databaseUrl, max: POOL_SIZE, idleTimeoutMillis: 0 });
  // The library warns about a pool without listeners; a broken connection shows in what is missing.
  pool.on('error', (error) => console.error(error)).on('connect', (client) => client.on('error', () => undefined));
  const utils = await makeWorkerUtils({ preset: PRESET, pgPool: pool });
  await utils.migrate();
  return new GraphileWorker(environment, pool, utils);
}
