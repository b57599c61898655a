import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { startBenchPostgres, type BenchPostgres } from '../support/postgres.js';
import { startServer, type ServerProcess, type SpawnOptions } from '../support/server-process.js';
import { measure, type PollingFigures } from './measurement.js';
import { formatPolling } from './polling-report.js';
import { setScene, type Scale } from './scene.js';

export interface PollingOptions {
  /** of each measurement */
  seconds: number;
  scales: Scale[];
  profileDir: string | undefined;
}

/** What Node takes for its heap by itself in a container of 512 MiB; here it would take as much of the whole machine. */
const HEAP = '--max-old-space-size=256';

/** Who follows the jobs. */
export const FOLLOWERS = {
  gateway: { label: 'gateway', args: [HEAP, 'dist/main.js'] },
  'by-id': { label: 'the same code, job by job', args: ['--import', 'tsx', 'bench/polling/by-id-worker.ts'] },
  axios: { label: 'a loop of axios.get', args: ['--import', 'tsx', 'bench/polling/axios-worker.ts'] },
} as const;

export type Follower = keyof typeof FOLLOWERS;

export interface Measured {
  scale: Scale;
  follower: Follower;
  figures: PollingFigures;
}

/** What two ways of asking job by job can be compared at: their calls are as many as jobs, every ten seconds. */
const COMPARED: Scale = { jobs: 4_000, tenants: 40, workers: 1 };
const WARM_UP_MS = 12_000;

/**
 * Follows many running jobs, by sweeps and job by job. Prints the report.
 *
 * @returns false when a measurement has seen nothing
 */
export async function runPolling(options: PollingOptions): Promise<boolean> {
  const logDir = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorpix-gateway-bench-'));
  const spawn: SpawnOptions = { logDir, profileDir: options.profileDir };
  const postgres = await startBenchPostgres();
  const measured: Measured[] = [];
  try {
    for (const follower of Object.keys(FOLLOWERS) as Follower[])
      measured.push(await follow(follower, COMPARED, postgres, spawn, options.seconds));
    for (const scale of options.scales) measured.push(await follow('gateway', scale, postgres, spawn, options.seconds));
    console.log(formatPolling(measured, options.seconds));
    return measured.every(({ figures }) => figures.observationsPerSecond > 0);
  } finally {
    await postgres.stop();
    await fs.rm(logDir, { recursive: true, force: true });
  }
}

async function follow(
  follower: Follower,
  scale: Scale,
  postgres: BenchPostgres,
  spawn: SpawnOptions,
  seconds: number,
): Promise<Measured> {
  console.error(
    `${FOLLOWERS[follower].label}: ${scale.jobs} jobs of ${scale.tenants} tenants, ${scale.workers} worker(s)`,
  );
  const scene = await setScene(scale, postgres, spawn);
  const workers: ServerProcess[] = [];
  try {
    for (let i = 0; i < scale.workers; i += 1) {
      const program = {
        name: `${follower}-${i}`,
        args: () => [...FOLLOWERS[follower].args],
        env: scene.env,
        probe: '/health/ready',
      };
      workers.push(await startServer(program, spawn));
    }
    // A large one takes a while to be seen whole for the first time.
    const warmUpMs = WARM_UP_MS + scale.jobs / 5;
    return { scale, follower, figures: await measure(scene, workers, postgres.pid, { warmUpMs, seconds }) };
  } finally {
    for (const worker of workers) await worker.stop();
    await scene.stop();
  }
}
