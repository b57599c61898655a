import { formatCredits, toUnits, type SimAccount } from './accounts.js';
import { type FaultBook, type ActiveFault, type FaultRule } from './faults.js';
import { STATUS, viewJob, type EndStatus, type SimJob } from './job.js';
import { JOB_BEHAVIORS, type JobBehavior } from './options.js';
import type { LoggedRequest } from './request-log.js';
import type { SimulatorState } from './state.js';

/** Changes to one job; null releases what was pinned. */
export interface JobChange {
  behavior?: JobBehavior;
  /** 2, -1, -2 end the job; any other number is only shown, until null releases it. */
  status?: number | null;
  /** 0 to 1. */
  progress?: number | null;
  /** Counted from the job's creation. */
  queue_ms?: number;
  duration_ms?: number;
  /** false: DELETE answers 500 and the job goes on. */
  cancellable?: boolean;
  output?: 'missing' | 'no_file' | null;
}

/** Creates an account for an unknown token, or changes the account of a known one. */
export interface AccountChange {
  token: string;
  /** A token that belongs to the same account: `token` is added to it. */
  same_account_as?: string;
  credits?: number;
  /** true: the token answers 401; its account and other tokens stay. */
  revoked?: boolean;
  /** null: no limit. */
  storage_limit_bytes?: number | null;
  /** null: as the simulator's setting. */
  queue_ms?: number | null;
  duration_ms?: number | null;
  pace?: number | null;
}

/** Many jobs at once, without charge. */
export interface SeedRequest {
  token: string;
  jobs: number;
  /** 0, 1, 2, -1 or -2; default 0. */
  status?: number;
  /** `{n}` becomes the number of the job within this call, from 0. */
  video_url?: string;
  ml_models?: number[];
}

export type JobSummary = ReturnType<SimulatorControl['describeJob']>;
export type AccountSummary = ReturnType<SimulatorControl['describeAccount']>;
export type StateSummary = ReturnType<SimulatorControl['summary']>;

/** What tests and demos do to the simulator; the HTTP control API (`/_sim/…`) has the same methods and bodies. */
export class SimulatorControl {
  constructor(
    private readonly state: SimulatorState,
    private readonly faults: FaultBook,
  ) {}

  /** POST /_sim/clock. Returns the new time. */
  advanceClock(advanceMs: number): { now: string } {
    this.state.clock.advance(advanceMs);
    return { now: new Date(this.state.settledNowMs()).toISOString() };
  }

  /** POST /_sim/faults. */
  addFault(rule: FaultRule): ActiveFault {
    return this.faults.add(rule);
  }

  /** GET /_sim/faults. */
  listFaults(): ActiveFault[] {
    return this.faults.list();
  }

  /** POST /_sim/faults/{id}: the answers that the rule holds are given, and none is held any more. */
  letGo(id: number): void {
    this.faults.letGo(id);
  }

  /** DELETE /_sim/faults/{id}. What it holds is given. */
  removeFault(id: number): void {
    this.faults.remove(id);
  }

  /** DELETE /_sim/faults. */
  clearFaults(): void {
    this.faults.clear();
  }

  /** POST /_sim/jobs/{id}. Throws a RangeError for an unknown job or value. */
  changeJob(id: number, change: JobChange): JobSummary {
    const nowMs = this.state.settledNowMs();
    const job = this.findJob(id);
    if (change.behavior !== undefined) this.setBehavior(job, change.behavior);
    if (change.queue_ms !== undefined || change.duration_ms !== undefined) this.reschedule(job, change);
    if (change.status !== undefined) this.setStatus(job, change.status, nowMs);
    if (change.progress !== undefined) job.shownProgress = change.progress;
    if (change.cancellable !== undefined) job.cancellable = change.cancellable;
    if (change.output !== undefined) job.shownOutput = change.output;
    return this.describeJob(id);
  }

  /** GET /_sim/jobs/{id}. */
  describeJob(id: number) {
    const nowMs = this.state.settledNowMs();
    const job = this.findJob(id);
    const { status, progress } = viewJob(job, nowMs, this.state.options.seed);
    return {
      id,
      account: job.account.id,
      status,
      progress,
      behavior: job.behavior,
      listed: job.account.jobList.isVisible(job.slot),
      retrievable: job.retrievable,
      cost: formatCredits(job.costUnits),
      refunded: formatCredits(job.refundedUnits),
      video_url: job.input.externalUrl,
      parameters: job.parameters,
    };
  }

  /** POST /_sim/accounts. */
  changeAccount(change: AccountChange): AccountSummary {
    for (const name of ['credits', 'queue_ms', 'duration_ms', 'pace'] as const) {
      const value = change[name] ?? 0;
      if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name} must be a number of at least 0`);
    }
    const account = this.accountFor(change);
    if (change.credits !== undefined) account.creditUnits = toUnits(change.credits);
    if (change.storage_limit_bytes !== undefined) account.storageLimitBytes = change.storage_limit_bytes;
    if (change.queue_ms !== undefined) account.queueMs = change.queue_ms;
    if (change.duration_ms !== undefined) account.durationMs = change.duration_ms;
    if (change.pace !== undefined) account.pace = change.pace;
    if (change.revoked === true) this.state.accountBook.revoke(change.token);
    return this.describeAccount(account);
  }

  /** POST /_sim/seed. The ids are consecutive. */
  seed(request: SeedRequest): { first_id: number; last_id: number; jobs: number } {
    const { token, jobs, status = STATUS.queued, video_url: url = 'https://example.com/seed/{n}.mp4' } = request;
    if (!Number.isInteger(jobs) || jobs < 1) throw new RangeError('jobs must be an integer of at least 1');
    const account = this.state.accountBook.find(token) ?? this.state.accountBook.create(token);
    const nowMs = this.state.settledNowMs();
    const parameters = { ml_models: request.ml_models ?? [1] };
    const { jobBook, videoBook } = this.state;
    let lastId = 0;
    for (let index = 0; index < jobs; index++) {
      const video = videoBook.addExternal(account, url.replace('{n}', String(index)), nowMs);
      const job = jobBook.create(video, parameters, 0, nowMs);
      lastId = job.id;
      if (job.endsAtMs === Infinity) continue;
      if (status === STATUS.processing) jobBook.reschedule(job, 0, job.endsAtMs - job.startsAtMs);
      else if (status !== STATUS.queued) this.setStatus(job, status, nowMs);
    }
    account.jobsSeeded += jobs;
    return { first_id: lastId - jobs + 1, last_id: lastId, jobs };
  }

  /** GET /_sim/requests. Oldest first. */
  requests(): LoggedRequest[] {
    return this.state.requests;
  }

  /** GET /_sim/state. */
  summary() {
    const nowMs = this.state.settledNowMs();
    const accounts = [...this.state.accountBook.byId.values()].map((account) => this.describeAccount(account));
    return {
      now: new Date(nowMs).toISOString(),
      jobs: this.state.jobBook.byId.size,
      images: this.state.images.size,
      accounts,
    };
  }

  /** POST /_sim/reset. State, clock, log and faults are as after the start. */
  reset(): void {
    this.state.reset();
    this.faults.reset();
  }

  private accountFor(change: AccountChange): SimAccount {
    const { accountBook } = this.state;
    if (change.same_account_as === undefined) {
      return accountBook.byToken.get(change.token) ?? accountBook.create(change.token);
    }
    const owner = accountBook.byToken.get(change.same_account_as);
    if (owner === undefined) throw new RangeError('same_account_as is not a known token');
    return accountBook.create(change.token, owner);
  }

  private setBehavior(job: SimJob, behavior: JobBehavior): void {
    if (!JOB_BEHAVIORS.includes(behavior)) throw new RangeError(`behavior must be one of ${JOB_BEHAVIORS.join(', ')}`);
    this.state.jobBook.setBehavior(job, behavior);
  }

  private reschedule(job: SimJob, change: JobChange): void {
    if (job.endsAtMs === Infinity) throw new RangeError('the job is stuck: set its behavior to normal first');
    const queueMs = change.queue_ms ?? job.startsAtMs - job.createdAtMs;
    const durationMs = change.duration_ms ?? job.endsAtMs - job.startsAtMs;
    this.state.jobBook.reschedule(job, queueMs, durationMs);
    this.state.settledNowMs();
  }

  private setStatus(job: SimJob, status: number | null, nowMs: number): void {
    if (status === null || !isEndStatus(status)) {
      job.shownStatus = status;
      return;
    }
    job.shownStatus = null;
    this.state.jobBook.end(job, status, nowMs);
    // A job that had ended otherwise shows the new end; its money and output stay as they are.
    if (job.ended?.status !== status) job.shownStatus = status;
  }

  private findJob(id: number): SimJob {
    const job = this.state.jobBook.byId.get(id);
    if (job === undefined) throw new RangeError(`no job ${id}`);
    return job;
  }

  /** Money as decimal strings in Credits; of each token the last four characters. */
  describeAccount(account: SimAccount) {
    const tokens = [...this.state.accountBook.byToken].filter(([, owner]) => owner === account);
    return {
      account: account.id,
      tokens: tokens.map(([token]) => token.slice(-4)),
      jobs_created: account.jobsCreated,
      jobs_seeded: account.jobsSeeded,
      jobs_active: account.activeJobs,
      jobs_ended: account.endedJobs,
      images: account.imagesCreated,
      credits: formatCredits(account.creditUnits),
      charged: formatCredits(account.chargedUnits),
      refunded: formatCredits(account.refundedUnits),
      storage_bytes: account.storageBytes,
    };
  }
}

function isEndStatus(status: number): status is EndStatus {
  return status === STATUS.finished || status === STATUS.failed || status === STATUS.canceled;
}
