import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTenant } from '../gateway.js';
import type { Random } from '../crash/random.js';
import type { CallbackReceiver } from './callback-receiver.js';

const EVENTS = ['job.queued', 'job.processing', 'job.finished', 'job.failed', 'job.canceled'];
const EVENTS_AND_PROGRESS = [...EVENTS, 'job.progress'];
const LONGEST_PAUSE_MS = 500;
/** A busy machine's database, or the first request with a key that is still being answered: a second later it is another. */
const PASSING = [503, 409];
const MOST_TRIES = 60;

/** A tenant, as its client knows it. */
export interface Team {
  id: string;
  key: string;
  /** Where the webhooks of its jobs go, below each receiver. */
  path: string;
}

/** Makes teams with standing endpoints, and jobs of theirs. */
export class Load {
  readonly teams: Team[] = [];
  jobs = 0;
  private allowed = 0;
  private stopped = false;

  constructor(
    private readonly gatewayUrl: string,
    /** Of the teams and their endpoints, by path. */
    private readonly secrets: Map<string, string>,
    private readonly random: Random,
    /** Begins the names of the teams, and those of their tokens. */
    private readonly prefix: string,
  ) {}

  get tenantIds(): string[] {
    return this.teams.map(({ id }) => id);
  }

  /** @param endpoints one standing endpoint for each of these receivers; the first takes progress, too */
  async addTeam(endpoints: readonly CallbackReceiver[]): Promise<void> {
    const name = `${this.prefix}-${this.teams.length + 1}`;
    const tenant = await createTenant(this.gatewayUrl, `token-of-${name}-${name.padStart(20, '0')}`);
    const team = { ...tenant, path: `/${name}` };
    const { secret } = await this.call(team, 'GET', '/v1/webhook-secret');
    this.secrets.set(team.path, String(secret));
    for (const [place, receiver] of endpoints.entries()) {
      const path = `${team.path}/endpoint-${place + 1}`;
      const events = place === 0 ? EVENTS_AND_PROGRESS : EVENTS;
      const endpoint = await this.call(team, 'POST', '/v1/webhook-endpoints', {
        url: `${receiver.url}${path}`,
        events,
      });
      this.secrets.set(path, String(endpoint['secret']));
    }
    this.teams.push(team);
  }

  /** Clients that make one job after another, as many as are allowed, until `stop`. */
  async run(clients: number, receivers: readonly CallbackReceiver[]): Promise<void> {
    const client = async (number: number): Promise<void> => {
      const random = this.random.fork(`client ${number}`);
      while (!this.stopped || this.jobs < this.allowed) {
        if (this.jobs < this.allowed)
          await this.createJob(random.pick(this.teams), random.pick(receivers), random.chance(0.5));
        await sleep(random.whole(0, LONGEST_PAUSE_MS));
      }
    };
    await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  }

  /** So many jobs at once. */
  async burst(jobs: number, receivers: readonly CallbackReceiver[], random: Random): Promise<void> {
    this.allowed += jobs;
    const create = (): Promise<void> =>
      this.createJob(random.pick(this.teams), random.pick(receivers), random.chance(0.5));
    await Promise.all(Array.from({ length: jobs }, create));
  }

  /** So many jobs more. */
  allow(jobs: number): void {
    this.allowed += jobs;
  }

  /** When all that are allowed are made. */
  stop(): void {
    this.stopped = true;
  }

  async createJob(team: Team, receiver: CallbackReceiver, withProgress: boolean): Promise<void> {
    this.jobs += 1;
    await this.call(team, 'POST', '/v1/jobs', {
      video_url: `https://media.example.com/${this.prefix}-${this.jobs}.mp4`,
      ml_models: [1],
      callback_url: `${receiver.url}${team.path}`,
      callback_events: withProgress ? EVENTS_AND_PROGRESS : EVENTS,
    });
  }

  private async call(team: Team, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const headers = {
      authorization: `Bearer ${team.key}`,
      ...(body && { 'content-type': 'application/json' }),
      ...(path === '/v1/jobs' && { 'idempotency-key': randomUUID() }),
    };
    const ask = () => fetch(this.gatewayUrl + path, { method, headers, body: body ? JSON.stringify(body) : null });
    let answer = await ask();
    for (let tries = 1; isToBeRepeated(path, answer) && tries < MOST_TRIES; tries += 1) {
      await sleep(1_000);
      answer = await ask();
    }
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }
}

/** Only creates of jobs, which have a key that makes them one. */
function isToBeRepeated(path: string, { status }: Response): boolean {
  return path === '/v1/jobs' && PASSING.includes(status);
}
