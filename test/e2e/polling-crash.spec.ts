import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { useDatabase } from '../support/database.js';
import { killAll, startGatewayProcess, type GatewayProcess } from '../support/gateway-process.js';
import { createTenant, eventually, startGateway, type Gateway } from '../support/gateway.js';

/** So that a lease lasts 20 seconds. */
const ENV = { TENSORPIX_TIMEOUT_MS: '5000', POLL_MIN_INTERVAL_MS: '200', POLL_MAX_INTERVAL_MS: '1000' };
/** A look is at most as quick as this: two that overlap show. */
const SLOW_MS = 300;
/** A page of a look that is to last longer than all of a test. */
const SLOW_PAGE_MS = 1_500;
const NEVER_MS = 3_600_000;

const database = useDatabase();
let simulator: Simulator;
let pool: pg.Pool;
let api: Gateway;
let tokens = 0;

interface Team {
  id: string;
  token: string;
  /** TensorPix's ids of its jobs */
  jobs: number[];
}

beforeAll(async () => {
  simulator = await startSimulator({
    autoCreateAccounts: true,
    queueMs: 0,
    durationMs: NEVER_MS,
    requestLogSize: 50_000,
  });
  pool = new pg.Pool({ connectionString: database.url(), max: 2 });
  pool.on('error', () => undefined);
  api = await startGateway(database.url(), simulator.url, { ...ENV, GATEWAY_ROLE: 'api' });
});

afterEach(async () => {
  await killAll();
  simulator.control.clearFaults();
  await pool.query('delete from jobs');
});

afterAll(async () => {
  await killAll();
  await api?.close();
  await pool?.end();
  await simulator?.close();
});

/** A tenant with so many jobs that TensorPix is processing. */
async function team(jobs: number): Promise<Team> {
  const token = `polling-crash-${String((tokens += 1)).padStart(4, '0')}`;
  const { id } = await createTenant(api.url, token);
  const { first_id: first, last_id: last } = simulator.control.seed({ token, jobs, status: 1 });
  await pool.query(
    `insert into jobs (id, tenant_id, account_id, kind, status, tensorpix_id, input, callback_events, submitted_at, started_at)
     select gen_random_uuid(), t.id, t.account_id, 'video', 'processing', n, '{}', '{}', now(), now()
       from tenants t, generate_series($2::bigint, $3::bigint) as n where t.id = $1`,
    [id, first, last],
  );
  const made = { id, token, jobs: Array.from({ length: jobs }, (_, i) => first + i) };
  await makeLookDue(made, '-1 second');
  return made;
}

async function makeLookDue({ id }: Team, after: string): Promise<void> {
  await pool.query('update tenant_paces set poll_due_at = now() + $2::interval where tenant_id = $1', [id, after]);
}

const worker = (): Promise<GatewayProcess> =>
  startGatewayProcess(database.url(), simulator.url, { ...ENV, GATEWAY_ROLE: 'worker' });

function slow({ token }: Team, delayMs = SLOW_MS): void {
  simulator.control.addFault({ match: { path: '/api/jobs/', token }, fault: { kind: 'slow', delay_ms: delayMs } });
}

const listCalls = ({ token }: Team) =>
  simulator.control
    .requests()
    .filter(({ tokenSuffix, path }) => tokenSuffix === token.slice(-4) && path.startsWith('/api/jobs/?'));

async function statuses(teams: Team[]): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ status: string; n: number }>(
    'select status, count(*)::int as n from jobs where tenant_id = any($1) group by status',
    [teams.map(({ id }) => id)],
  );
  return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
}

async function paceOf({ id }: Team): Promise<{ lease: string | null; expired: boolean }> {
  const { rows } = await pool.query<{ lease: string | null; expired: boolean }>(
    'select poll_lease_token as lease, coalesce(poll_lease_expires_at < now(), false) as expired from tenant_paces where tenant_id = $1',
    [id],
  );
  return rows[0] ?? { lease: null, expired: false };
}

async function progressOf({ id, jobs }: Team): Promise<number | null> {
  const { rows } = await pool.query<{ progress: number | null }>(
    'select progress from jobs where tenant_id = $1 and tensorpix_id = $2',
    [id, jobs[0]],
  );
  return rows[0]?.progress ?? null;
}

async function lostLeases({ url }: GatewayProcess): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^gateway_lost_leases_total\{loop="poller"\} (\d+)/m.exec(text)?.[1] ?? 0);
}

/** Pauses a worker in the middle of a look at this tenant: TensorPix has the call, its answer comes to nobody. */
async function pauseInALook(of: Team, { pid }: GatewayProcess): Promise<void> {
  await eventually(
    () => listCalls(of).at(-1),
    (call) => call !== undefined && call.status === null,
  );
  process.kill(pid, 'SIGSTOP');
}

describe('a replica that stands still beyond its lease', () => {
  it('should change nothing with what it knows when it wakes (invariant 8)', async () => {
    const stalled = await team(5);
    slow(stalled);
    const [first = 0] = stalled.jobs;
    simulator.control.changeJob(first, { progress: 0.9 });
    // The look in which it pauses is the first: nothing is known of the job yet.
    await makeLookDue(stalled, '1 hour');
    const sleeper = await worker();
    await makeLookDue(stalled, '-1 second');
    await pauseInALook(stalled, sleeper);
    expect(await progressOf(stalled)).toBeNull();
    await eventually(
      () => listCalls(stalled).at(-1)?.status,
      (status) => status === 200,
    );
    simulator.control.changeJob(first, { progress: 0.3 });
    await worker();
    await eventually(
      () => progressOf(stalled),
      (progress) => progress === 0.3,
    );
    process.kill(sleeper.pid, 'SIGCONT');
    await eventually(
      () => lostLeases(sleeper),
      (lost) => lost > 0,
    );
    expect(await progressOf(stalled)).toBe(0.3);
  });
});

describe('a replica that is killed in the middle of its looks', () => {
  it('should be replaced, with no tenant looked at by two at once, and every job ends once', async () => {
    const teams = await Promise.all(Array.from({ length: 10 }, () => team(20)));
    for (const each of teams) slow(each);
    const [killed] = await Promise.all([worker(), worker()]);
    await eventually(
      () => teams.every((each) => listCalls(each).length >= 3),
      (all) => all,
    );
    await killed?.end('SIGKILL');
    for (const id of teams.flatMap(({ jobs }) => jobs)) simulator.control.changeJob(id, { status: 2 });
    await eventually(
      () => statuses(teams),
      ({ finished }) => finished === 200,
    );
    const { rows } = await pool.query<{ events: number }>(
      `select count(*)::int as events from job_events where type = 'job.finished' group by job_id having count(*) > 1`,
    );
    expect(rows).toEqual([]);
    for (const each of teams) {
      const at = listCalls(each).map(({ atMs }) => atMs);
      const closest = Math.min(...at.slice(1).map((ms, i) => ms - (at[i] ?? 0)));
      expect(closest).toBeGreaterThanOrEqual(SLOW_MS - 1);
    }
  });
});

describe('a huge tenant', () => {
  it('should not delay small ones (invariant 16)', async () => {
    const huge = await team(3_000);
    slow(huge, SLOW_PAGE_MS);
    await worker();
    await eventually(
      () => listCalls(huge).length,
      (pages) => pages >= 2,
    );
    const { lease } = await paceOf(huge);
    const small = await Promise.all(Array.from({ length: 20 }, () => team(3)));
    for (const id of small.flatMap(({ jobs }) => jobs)) simulator.control.changeJob(id, { status: 2 });
    await eventually(
      () => statuses(small),
      ({ finished }) => finished === 60,
    );
    expect(lease).not.toBeNull();
    expect(await paceOf(huge)).toEqual({ lease, expired: false });
  });
});
