import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrate } from '../../prisma/migrate.js';
import { tidyDatabase, type BenchPostgres } from '../support/postgres.js';
import { startServer, type ServerProcess, type SpawnOptions } from '../support/server-process.js';

/** How much is under way, and who follows it. */
export interface Scale {
  jobs: number;
  tenants: number;
  workers: number;
}

/** A simulator full of running jobs, and a database with the rows of them. */
export interface Scene {
  scale: Scale;
  simulator: ServerProcess;
  databaseUrl: string;
  /** tokens of the tenants */
  tokens: string[];
  env: (port: number) => NodeJS.ProcessEnv;
  stop: () => Promise<void>;
}

const ADMIN_KEY = randomBytes(32).toString('hex');
const ENCRYPTION_KEYS = `bench:${randomBytes(32).toString('base64')}`;
/** Up to 40 minutes from the start on, so that some end at any moment. */
const DURATION_MS = 20 * 60_000;
const SPREAD = 1;
const AT_ONCE = 20;
const REQUEST_LOG = 100_000;

let scenes = 0;

export async function setScene(scale: Scale, postgres: BenchPostgres, options: SpawnOptions): Promise<Scene> {
  scenes += 1;
  const databaseUrl = await postgres.createDatabase(`bench_polling_${scenes}`);
  await migrate(databaseUrl);
  const settings = { 'request-log': REQUEST_LOG, 'queue-ms': 0, 'duration-ms': DURATION_MS, jitter: SPREAD };
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = (port: number) => ['--import', 'tsx', 'simulator/main.ts', '--port', String(port), ...flags];
  const simulator = await startServer({ name: `simulator-${scenes}`, args, probe: '/_sim/state' }, options);
  const env = (port: number): NodeJS.ProcessEnv => ({
    DATABASE_URL: databaseUrl,
    TENSORPIX_BASE_URL: simulator.url,
    ADMIN_API_KEY: ADMIN_KEY,
    ENCRYPTION_KEYS,
    GATEWAY_ROLE: 'worker',
    HOST: '127.0.0.1',
    PORT: String(port),
    LOG_LEVEL: 'warn',
  });
  const tokens = Array.from({ length: scale.tenants }, (_, i) => `bench-token-${String(i).padStart(4, '0')}`);
  await fill(scale, tokens, simulator.url, { databaseUrl, env }, options);
  await tidyDatabase(databaseUrl);
  return { scale, simulator, databaseUrl, tokens, env, stop: () => simulator.stop() };
}

async function fill(
  { jobs, tenants }: Scale,
  tokens: string[],
  simulatorUrl: string,
  { databaseUrl, env }: Pick<Scene, 'databaseUrl' | 'env'>,
  options: SpawnOptions,
): Promise<void> {
  const api = await startServer(
    {
      name: `api-${scenes}`,
      args: () => ['dist/main.js'],
      env: (port) => ({ ...env(port), GATEWAY_ROLE: 'api' }),
      probe: '/health/ready',
    },
    options,
  );
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  try {
    const each = Math.ceil(jobs / tenants);
    for (let from = 0; from < tokens.length; from += AT_ONCE)
      await Promise.all(
        tokens.slice(from, from + AT_ONCE).map(async (token) => {
          const id = await createTenant(api.url, token);
          const seeded = await post(`${simulatorUrl}/_sim/seed`, { token, jobs: each, status: 1 });
          await pool.query(INSERT_JOBS, [id, seeded['first_id'], seeded['last_id']]);
        }),
      );
    // As in a system that has been running: not all are due at once.
    await pool.query(`update tenant_paces set poll_due_at = now() + random() * interval '5 seconds'`);
  } finally {
    await pool.end();
    await api.stop();
  }
}

const INSERT_JOBS = `
  insert into jobs (id, tenant_id, account_id, kind, status, tensorpix_id, input, attempt, called_at, submitted_at, started_at, progress,
    callback_events)
  select gen_random_uuid(), t.id, t.account_id, 'video', 'processing', n, '{"video_url": "https://example.com/seed.mp4", "ml_models": [1]}',
         1, now(), now(), now(), 0, '{}'
    from tenants t, generate_series($2::bigint, $3::bigint) as n
   where t.id = $1`;

async function createTenant(url: string, token: string): Promise<string> {
  const tenant = await post(`${url}/v1/tenants?verify=false`, { name: 'bench', tensorpix_token: token });
  return String(tenant['id']);
}

async function post(url: string, body: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_KEY}` };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
