import { randomBytes } from 'node:crypto';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { startReceiver, type Receiver } from '../receiver.js';
import { Clients } from './client.js';
import { ForeignSystem } from './foreign-system.js';
import type { KillPoint } from './kill-points.js';
import { keepKilling, KillCounts, type KillPace } from './killer.js';
import { Load } from './load.js';
import { Person } from './person.js';
import { Random } from './random.js';
import { Records, type Row } from './records.js';
import { checkReplays } from './replays.js';
import { Replica } from './replica.js';
import { describeViolations, summarise } from './report.js';
import { settle, settleWebhooks } from './settling.js';
import { SubmissionMix } from './submission.js';
import { createTenants, type Tenant } from './tenants.js';
import { Upstream } from './upstream.js';
import { findViolations } from './verdict.js';
import { Weather } from './weather.js';

export interface CrashRunOptions {
  /** Decides what is sent, which faults TensorPix has, and where replicas are killed; not how threads interleave. */
  seed: number;
  /** A migrated database that nobody else uses. */
  databaseUrl: string;
  /** At least so many are made. */
  submissions: number;
  /** How many submit at once. */
  clients: number;
  /** Where replicas are killed. */
  points: readonly KillPoint[];
  pace: KillPace;
  /** The load goes on until each point was hit so often… */
  hits: number;
  /** …or for so long. */
  longestLoadMs: number;
  log: (line: string) => void;
}

export interface CrashRunResult {
  line: string;
  /** Empty: nothing is wrong. */
  violations: string;
  hits: ReadonlyMap<KillPoint, number>;
}

const REPLICAS = ['replica 1', 'replica 2'];
const PROGRESS_MS = 15_000;
/** Patience of clients that have asked for so long after everything was mended. */
const LAST_ANSWERS_MS = 180_000;

/** Short, so that nothing waits long; the proportions are those of the defaults. */
const TIMES = {
  TENSORPIX_TIMEOUT_MS: '800',
  RECONCILE_GRACE_MS: '800',
  POLL_MIN_INTERVAL_MS: '100',
  POLL_MAX_INTERVAL_MS: '500',
  CALLBACK_TIMEOUT_MS: '1000',
  CALLBACK_RETRY_SCHEDULE_MS: '200,200,500,500,1000,1000,2000,2000,2000,2000',
};

/** Two replicas that are killed again and again while clients submit and TensorPix fails; then what is left of it all. */
export async function runCrashes(options: CrashRunOptions): Promise<CrashRunResult> {
  const stage = await Stage.open(options);
  try {
    await stage.rage();
    return await stage.judge();
  } finally {
    await stage.close();
  }
}

class Stage {
  private readonly random: Random;
  private readonly kills: KillCounts;
  private readonly givingUp = new AbortController();
  private readonly adminKey = randomBytes(32).toString('base64url');
  private readonly replicas: Replica[] = [];
  private readonly records: Records;
  private readonly weather: Weather;
  private readonly foreign: ForeignSystem;
  private readonly load: Load;

  private constructor(
    private readonly options: CrashRunOptions,
    private readonly simulator: Simulator,
    private readonly receiver: Receiver,
  ) {
    const { seed, databaseUrl } = options;
    this.random = new Random(seed);
    this.kills = new KillCounts(options.points, options.hits);
    this.records = new Records(databaseUrl);
    this.weather = new Weather(simulator.control, this.random.fork('weather'));
    this.foreign = new ForeignSystem(simulator);
    this.load = new Load({
      clients: new Clients(this.replicas, this.givingUp.signal),
      concurrency: options.clients,
      mix: new SubmissionMix(this.random.fork('mix'), receiver.url),
      foreign: this.foreign,
      random: this.random.fork('load'),
      createTenants: (generation): Promise<Tenant[]> =>
        createTenants(this.replicas, this.adminKey, generation, this.givingUp.signal),
    });
  }

  static async open(options: CrashRunOptions): Promise<Stage> {
    const simulator = await startSimulator({
      seed: options.seed,
      tokens: [],
      autoCreateAccounts: true,
      latencyMs: 15,
      queueMs: 200,
      durationMs: 600,
      jitter: 0.5,
      pageMax: 50,
      logBodies: true,
      requestLogSize: 1_000_000,
    });
    const stage = new Stage(options, simulator, await startReceiver());
    try {
      await stage.startReplicas();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  /** Load, faults and kills, until it is enough; then everything is mended. */
  async rage(): Promise<void> {
    const { options, kills, load, weather } = this;
    await load.prepare();
    const stopping = new AbortController();
    const killers = this.replicas.map((replica) =>
      keepKilling(replica, kills, options.pace, this.random.fork(replica.name), stopping.signal),
    );
    // Without a replica that starts nothing can be shown: then everybody gives up.
    for (const killer of killers) killer.catch(() => this.givingUp.abort());
    const raging = weather.rage();
    const untilMs = performance.now() + options.longestLoadMs;
    const progress = setInterval(() => this.tellProgress(), PROGRESS_MS);
    const isEnough = (): boolean =>
      this.givingUp.signal.aborted ||
      (load.submissions.length >= options.submissions &&
        (kills.below(options.hits).length === 0 || performance.now() > untilMs));
    try {
      await load.run(isEnough);
    } finally {
      clearInterval(progress);
      stopping.abort();
      weather.clear();
    }
    await Promise.all([...killers, raging]);
  }

  /** Waits until nothing is under way, and compares what everybody knows. */
  async judge(): Promise<CrashRunResult> {
    const { options, load, kills, weather, records, replicas, random } = this;
    const { seed } = options;
    const { submissions } = load;
    const upstream = new Upstream(this.simulator, load.tenants, this.foreign.twins);
    const [replica] = replicas as [Replica];
    const person = new Person({ records, upstream, replica, adminKey: this.adminKey, random: random.fork('person') });
    const stuck = await this.settle(person);
    const undelivered = await settleWebhooks(records);
    const clients = new Clients(replicas, this.givingUp.signal);
    const replays = await checkReplays(submissions, clients, random.fork('replays'));
    const evidence = {
      submissions,
      rows: await records.rows(),
      upstream,
      records,
      person,
      replicas,
      stuck,
      undelivered,
    };
    const violations = [...replays.violations, ...(await findViolations(evidence))];
    const line = summarise({
      seed,
      submissions,
      kills,
      faults: weather.faults,
      jobs: upstream.jobs.length,
      foreignJobs: upstream.foreignJobs.length,
      byPerson: person.count,
      replays: replays.count,
      violations,
    });
    const described = violations.length === 0 ? '' : await describeViolations(seed, violations, evidence);
    return { line, violations: described, hits: kills.hits };
  }

  /** Returns the rows that are stuck. */
  private async settle(person: Person): Promise<Row[]> {
    const { records, load, givingUp } = this;
    const tell = (line: string): void => this.options.log(`seed ${this.options.seed}: ${line}`);
    tell(`nothing fails any more; ${(await records.openRows()).length} jobs are open`);
    const impatience = setTimeout(() => givingUp.abort(), LAST_ANSWERS_MS);
    let answered = false;
    const answers = load.ended().then(() => (answered = true));
    const stuck = await settle(records, person, () => answered || givingUp.signal.aborted, tell);
    await answers;
    clearTimeout(impatience);
    return stuck;
  }

  async close(): Promise<void> {
    this.givingUp.abort();
    await Promise.all(this.replicas.map((replica) => replica.close()));
    await this.records.close();
    await this.receiver.close();
    await this.simulator.close();
  }

  private async startReplicas(): Promise<void> {
    const env = {
      ...TIMES,
      ADMIN_API_KEY: this.adminKey,
      ENCRYPTION_KEYS: `soak:${randomBytes(32).toString('base64')}`,
      CALLBACK_ALLOW_HTTP: 'true',
      CALLBACK_ALLOWED_CIDRS: '127.0.0.0/8',
      LOG_LEVEL: 'info',
    };
    for (const name of REPLICAS) {
      const { databaseUrl } = this.options;
      this.replicas.push(await Replica.start({ name, databaseUrl, tensorpixUrl: this.simulator.url, env }));
    }
  }

  private tellProgress(): void {
    const { load, kills, weather, options } = this;
    const missing = kills.below(options.hits);
    options.log(
      `seed ${options.seed}: ${load.submissions.length} submissions, ${kills.total} kills, ${weather.faults} faults` +
        (missing.length > 0 ? `, still to be hit: ${missing.join(', ')}` : ''),
    );
  }
}
