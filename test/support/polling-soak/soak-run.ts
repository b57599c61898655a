import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { Random } from '../crash/random.js';
import { startGatewayProcess, type GatewayProcess } from '../gateway-process.js';
import { createTenant } from '../gateway.js';
import { countOpen, findViolations } from './records.js';
import { rage } from './weather.js';

export interface PollingSoakOptions {
  seed: number;
  /** A migrated database that nobody else uses. */
  databaseUrl: string;
  minutes: number;
  /** Kept under way. */
  jobs: number;
  log: (line: string) => void;
}

const TENANTS = 20;
const REPLICAS = 3;
const ENV = {
  TENSORPIX_TIMEOUT_MS: '1000',
  RECONCILE_GRACE_MS: '2000',
  POLL_MIN_INTERVAL_MS: '500',
  POLL_MAX_INTERVAL_MS: '5000',
};
const SUBMIT_EVERY_MS = 20;
const TELL_EVERY_MS = 30_000;
const LONGEST_UP_MS = 20_000;
/** Longer than a lease (the timeout of a call and 15 s). */
const STILL_MS = 17_000;
const STILLS = 0.2;
const SETTLING_MS = 600_000;

interface Team {
  key: string;
  token: string;
}

/** Three replicas that are killed and stopped while TensorPix is not well, and what they know at the end. */
export async function soakPolling(options: PollingSoakOptions): Promise<{ line: string; violations: string[] }> {
  const random = new Random(options.seed);
  const simulator = await startSimulator({
    seed: options.seed,
    autoCreateAccounts: true,
    latencyMs: 10,
    queueMs: 5_000,
    durationMs: 60_000,
    jitter: 0.9,
    outputFileDelayMs: 500,
    pageMax: 25,
    requestLogSize: 2_000_000,
  });
  const pool = new pg.Pool({ connectionString: options.databaseUrl, max: 2 });
  const run = new SoakRun(options, simulator, pool, random);
  try {
    return await run.run();
  } finally {
    await run.end();
    await pool.end();
    await simulator.close();
  }
}

class SoakRun {
  private readonly replicas: (GatewayProcess | null)[] = [];
  private submitted = 0;
  private kills = 0;
  private stills = 0;

  constructor(
    private readonly options: PollingSoakOptions,
    private readonly simulator: Simulator,
    private readonly pool: pg.Pool,
    private readonly random: Random,
  ) {}

  async run(): Promise<{ line: string; violations: string[] }> {
    const { options, simulator, pool, random } = this;
    for (let i = 0; i < REPLICAS; i += 1) this.replicas.push(await this.boot());
    const [first] = this.replicas;
    const teams: Team[] = [];
    for (let i = 0; i < TENANTS; i += 1) {
      const token = `soak-polling-${String(i).padStart(4, '0')}`;
      teams.push({ token, key: (await createTenant(first?.url ?? '', token)).key });
    }
    const stopping = new AbortController();
    const tokens = teams.map(({ token }) => token);
    const raging = rage(simulator.control, tokens, random.fork('weather'), stopping.signal);
    const killing = this.replicas.map((_, i) => this.keepKilling(i, random.fork(i), stopping.signal));
    const timer = setInterval(() => void this.tell(), TELL_EVERY_MS);
    await this.submitFor(options.minutes * 60_000, teams);
    stopping.abort();
    await Promise.all(killing);
    const faults = await raging;
    const { stuck, leftToPerson } = await this.settle();
    clearInterval(timer);
    const violations = await findViolations(pool, simulator);
    if (stuck > 0) violations.push(`${stuck} jobs have not ended`);
    const calls = simulator.control.requests().length;
    const line =
      `${this.submitted} jobs, ${calls} calls, ${faults} odd answers, ${this.kills} kills, ${this.stills} standstills, ` +
      `${leftToPerson} left to a person, ${stuck} stuck, ${violations.length} violations`;
    return { line, violations };
  }

  async end(): Promise<void> {
    for (const replica of this.replicas) await replica?.end('SIGKILL');
  }

  private boot(): Promise<GatewayProcess> {
    return startGatewayProcess(this.options.databaseUrl, this.simulator.url, ENV);
  }

  private async keepKilling(index: number, random: Random, stopping: AbortSignal): Promise<void> {
    const pause = (ms: number) => sleep(ms, undefined, { signal: stopping }).catch(() => undefined);
    while (!stopping.aborted) {
      await pause(random.whole(0, LONGEST_UP_MS));
      const replica = this.replicas[index];
      if (stopping.aborted || !replica) return;
      if (random.chance(STILLS)) {
        this.stills += 1;
        process.kill(replica.pid, 'SIGSTOP');
        await pause(STILL_MS);
        process.kill(replica.pid, 'SIGCONT');
      } else {
        this.kills += 1;
        this.replicas[index] = null;
        await replica.end('SIGKILL');
        this.replicas[index] = await this.boot();
      }
    }
  }

  /** Keeps so many under way. A request whose answer does not come may have made one too. */
  private async submitFor(ms: number, teams: Team[]): Promise<void> {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs) {
      const wanted = this.options.jobs - (await countOpen(this.pool)).open;
      for (let i = 0; i < Math.min(wanted, 100) && performance.now() < untilMs; i += 1) {
        void this.submit(this.random.pick(teams));
        await sleep(SUBMIT_EVERY_MS);
      }
      await sleep(SUBMIT_EVERY_MS);
    }
  }

  private async submit({ key }: Team): Promise<void> {
    const up = this.replicas.filter((replica) => replica !== null);
    if (up.length === 0) return;
    this.submitted += 1;
    const body = { video_url: `https://media.example.com/soak-${this.submitted}.mp4`, ml_models: [1] };
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    await fetch(`${this.random.pick(up).url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(body) }).then(
      (answer) => answer.arrayBuffer(),
      () => undefined,
    );
  }

  /** Waits until every job has ended or waits for a person. */
  private async settle(): Promise<{ stuck: number; leftToPerson: number }> {
    const untilMs = performance.now() + SETTLING_MS;
    for (;;) {
      const { open, leftToPerson } = await countOpen(this.pool);
      const stuck = open - leftToPerson;
      if (stuck === 0 || performance.now() > untilMs) return { stuck, leftToPerson };
      await sleep(500);
    }
  }

  private async tell(): Promise<void> {
    const { open } = await countOpen(this.pool).catch(() => ({ open: '?' }));
    this.options.log(`${this.submitted} jobs, ${open} under way, ${this.kills} kills, ${this.stills} standstills`);
  }
}
