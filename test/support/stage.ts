import { afterAll, afterEach, beforeAll } from '@jest/globals';
import pg from 'pg';
import request, { type Response } from 'supertest';
import type { Fault, FaultKind, FaultMatch, FaultRule } from '../../simulator/faults.js';
import type { SimulatorOptions } from '../../simulator/options.js';
import type { LoggedRequest } from '../../simulator/request-log.js';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { WakeUps } from '../../src/common/loops/wake-ups.js';
import { useDatabase } from './database.js';
import { createTenant, eventually, startGateway, type Gateway, type TestTenant } from './gateway.js';
import { holdAnswer, type HeldAnswer } from './held-answers.js';
import { startReceiver, type Receiver } from './receiver.js';

export const CREATE_VIDEO = '/api/jobs/from-url/';
export const CREATE_IMAGE = '/api/images/enhance/from-url/';

/** A tenant with a TensorPix token, and so an account, of its own. */
export interface Team extends TestTenant {
  token: string;
  auth: { authorization: string };
}

/** What tests read of a job's row. */
export interface Row {
  id: string;
  status: string;
  status_reason: string | null;
  tensorpix_id: string | null;
  attempt: number;
  sequence: number;
  progress: number | null;
  due_at: Date | null;
  lease_token: string | null;
  missing_looks: number;
  missing_since: Date | null;
  result_awaited_since: Date | null;
  error: { code: string; detail: string; errors?: object; non_field_errors?: string[] } | null;
  output: Record<string, unknown> | null;
}

export interface DeliveryRow {
  id: string;
  sequence: number;
  event_type: string;
  status: string;
  attempts: number;
  last_error: string | null;
}

export interface EventRow {
  sequence: number;
  type: string;
  data: Record<string, unknown>;
}

export interface StageOptions {
  /** Environment of the gateway beside `gatewayEnv`. */
  env?: NodeJS.ProcessEnv;
  simulator?: Partial<SimulatorOptions>;
  /** What is due is sent at once, and not at the next of the loops' intervals: wake-ups only shorten waits (invariant 14). */
  hurry?: boolean;
}

const HURRY_MS = 200;

let teams = 0;
let sources = 0;

/** A simulator, a receiver, a database and a gateway for a test file, and the words in which its tests speak of them. */
export class Stage {
  simulator!: Simulator;
  receiver!: Receiver;
  gateway!: Gateway;
  pool!: pg.Pool;
  databaseUrl!: string;

  /** Fields of a create: webhooks to the receiver, for the states that every look is sure to see. */
  get callback(): { callback_url: string; callback_events: string[] } {
    const events = ['job.queued', 'job.finished', 'job.failed', 'job.canceled'];
    return { callback_url: this.receiver.url, callback_events: events };
  }

  async team(body: object = {}): Promise<Team> {
    const token = `token-for-tests-${String((teams += 1)).padStart(4, '0')}`;
    const tenant = await createTenant(this.gateway.url, token, body);
    return { ...tenant, token, auth: { authorization: `Bearer ${tenant.key}` } };
  }

  /** Adds a fault for the team's creates of videos, unless `match` says otherwise. */
  fault(team: Team, fault: Fault | FaultKind, rule: Omit<FaultRule, 'fault'> = {}): void {
    const match = { method: 'POST', path: CREATE_VIDEO, token: team.token, ...rule.match };
    this.simulator.control.addFault({ ...rule, match, fault });
  }

  /** TensorPix's answer to the team's next call that fits, a video's by default, waits until it may arrive. */
  hold(team: Team, match: FaultMatch = {}, fault?: Fault): HeldAnswer {
    return holdAnswer(this.simulator, { method: 'POST', path: CREATE_VIDEO, token: team.token, ...match }, fault);
  }

  /** Ends what is wrong for this team; what is for others, of tests beside this one, goes on. */
  endFaults(team: Team): void {
    const { control } = this.simulator;
    for (const { id, rule } of control.listFaults()) if (rule.match?.token === team.token) control.removeFault(id);
  }

  /** Makes the loops that send look for what is due. */
  hurry(): void {
    const wakeUps = this.gateway.app.get(WakeUps, { strict: false });
    for (const topic of ['deliveries', 'submissions'] as const) wakeUps.wake(topic);
  }

  /** `POST /v1/jobs` with a source that no other test has. */
  async video(team: Team, fields: object = {}, headers: Record<string, string> = {}): Promise<Response> {
    const body = { video_url: sourceUrl(), ml_models: [1], ...fields };
    return request(this.gateway.url).post('/v1/jobs').set(team.auth).set(headers).send(body);
  }

  async image(team: Team, fields: object = {}, headers: Record<string, string> = {}): Promise<Response> {
    const body = {
      url: 'https://media.example.com/in.png',
      enhancement_type: 'sr2x',
      face_enhance: false,
      output_format: 'png',
      watermark: true,
      ...fields,
    };
    return request(this.gateway.url).post('/v1/images').set(team.auth).set(headers).send(body);
  }

  async get(team: Team, path: string): Promise<Response> {
    return request(this.gateway.url).get(path).set(team.auth);
  }

  /** The team's requests that the simulator received, oldest first. */
  calls(team: Team, method?: string, path?: string): LoggedRequest[] {
    return this.simulator.control
      .requests()
      .filter((call) => call.tokenSuffix === team.token.slice(-4))
      .filter((call) => method === undefined || call.method === method)
      .filter((call) => path === undefined || call.path === path);
  }

  creates(team: Team): number {
    return this.calls(team, 'POST', CREATE_VIDEO).length;
  }

  async sql<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.pool.query<T>(text, values)).rows;
  }

  async row(id: string): Promise<Row> {
    const [row] = await this.sql<Row>('select * from jobs where id = $1', [id]);
    if (!row) throw new Error(`no row ${id}`);
    return row;
  }

  /** Time passes: a parked job is due. A second ago, since the column rounds to milliseconds, and that may be up. */
  async makeDue(id: string): Promise<void> {
    await this.sql(
      `update tenant_paces set hold_until = now() - interval '1 second'
        where tenant_id = (select tenant_id from jobs where id = $1)`,
      [id],
    );
    await this.sql(`update jobs set due_at = now() - interval '1 second' where id = $1 and due_at is not null`, [id]);
  }

  /** Time passes: every tenant with jobs at TensorPix is due for a look. */
  async makeLooksDue(): Promise<void> {
    await this.sql(`update tenant_paces set poll_due_at = now() - interval '1 second' where poll_due_at is not null`);
  }

  /** The row once this holds of it. */
  untilRow(id: string, holds: (row: Row) => boolean): Promise<Row> {
    return eventually(() => this.row(id), holds);
  }

  async rowsOf(team: Team): Promise<Row[]> {
    return this.sql<Row>('select * from jobs where tenant_id = $1 order by id', [team.id]);
  }

  /** The history of a job; fails when its numbers have a gap or the row's own number is another (invariant 6). */
  async events(id: string): Promise<EventRow[]> {
    const events = await this.sql<EventRow>('select * from job_events where job_id = $1 order by sequence', [id]);
    const gap = events.some(({ sequence }, i) => sequence !== i + 1);
    if (gap) throw new Error(`the events of ${id} have a gap: ${events.map(({ sequence }) => sequence).join(' ')}`);
    return events;
  }

  async eventTypes(id: string): Promise<string[]> {
    return (await this.events(id)).map(({ type }) => type);
  }

  async deliveries(id: string): Promise<DeliveryRow[]> {
    return this.sql<DeliveryRow>('select * from webhook_deliveries where job_id = $1 order by sequence', [id]);
  }

  /** The first webhook of a job is to be delivered once more, as if it never had been. */
  async sendAgain(id: string): Promise<void> {
    const again = `update webhook_deliveries set status = 'pending', attempts = 0 where job_id = $1 returning queue_id`;
    const [row] = await this.sql<{ queue_id: string }>(again, [id]);
    await this.sql('delete from webhook_queues where id = $1', [row?.queue_id]);
    await this.sql(
      `insert into webhook_queues (id, tenant_id, origin, due_at)
       select distinct on (queue_id) queue_id, tenant_id, substring(url from '^[a-z]+://[^/]+'), now() - interval '1 second'
         from webhook_deliveries where job_id = $1`,
      [id],
    );
  }

  /** Waits until the receiver has got these webhooks of a job, in this order and no others. */
  async untilWebhooks(id: string, types: string[]): Promise<void> {
    await eventually(
      () => this.receiver.types(id),
      (received) => JSON.stringify(received) === JSON.stringify(types),
    );
  }

  /** Waits until nothing of a job is left to be delivered. */
  async untilDelivered(id: string): Promise<DeliveryRow[]> {
    return eventually(
      () => this.deliveries(id),
      (rows) => rows.every(({ status }) => status !== 'pending' && status !== 'failing'),
    );
  }

  /** Waits until the tenant's token rests. */
  async untilRest(team: Team): Promise<void> {
    await eventually(
      () => this.sql('select 1 from tenant_paces where tenant_id = $1 and rest_until > now()', [team.id]),
      (rows) => rows.length > 0,
    );
  }

  async tokenStatus(team: Team): Promise<string> {
    const [row] = await this.sql<{ token_status: string }>('select token_status from tenants where id = $1', [team.id]);
    return row?.token_status ?? 'no tenant';
  }

  /** The value of a counter in `GET /metrics`; 0 when it is not there. */
  async metric(line: string): Promise<number> {
    const { text } = await request(this.gateway.url).get('/metrics');
    const found = text.split('\n').find((each) => each.startsWith(`${line} `));
    return Number(found?.slice(line.length) ?? 0);
  }
}

export function sourceUrl(text = 'in'): string {
  return `https://media.example.com/${text}-${(sources += 1)}.mp4`;
}

export function idOf(response: Response): string {
  const { id, job_id } = response.body as { id?: string; job_id?: string };
  const found = id ?? job_id;
  if (found === undefined) throw new Error(`no id in ${response.status} ${response.text}`);
  return found;
}

/** Starts everything before the file's tests and stops it after them; faults end with the test that made them. */
export function useStage(options: StageOptions = {}): Stage {
  const stage = new Stage();
  let hurrying: NodeJS.Timeout | undefined;
  const database = useDatabase();
  beforeAll(async () => {
    const simulator = { autoCreateAccounts: true, queueMs: 100, durationMs: 300, ...options.simulator };
    stage.simulator = await startSimulator(simulator);
    stage.receiver = await startReceiver();
    stage.databaseUrl = database.url();
    stage.pool = new pg.Pool({ connectionString: stage.databaseUrl, max: 5 });
    stage.pool.on('error', () => undefined);
    stage.gateway = await startGateway(stage.databaseUrl, stage.simulator.url, options.env);
    if (options.hurry) hurrying = setInterval(() => stage.hurry(), HURRY_MS);
  });
  afterEach(() => {
    stage.simulator?.control.clearFaults();
    stage.receiver?.answer((_, response) => void response.writeHead(204).end());
  });
  afterAll(async () => {
    clearInterval(hurrying);
    stage.simulator?.control.clearFaults();
    await stage.gateway?.close();
    await stage.pool?.end();
    await stage.receiver?.close();
    await stage.simulator?.close();
  });
  return stage;
}
