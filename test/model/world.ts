import type { Timing } from '../../src/modules/jobs/reconciliation/judgement.js';
import { T0 } from '../support/job-records.js';
import { AccountLookModel, type ReadFault, type Weather } from './account-look-model.js';
import { TIMING, type Protocol } from './protocol.js';
import type { RequestName } from './requests.js';
import { REFUSED, UNKNOWN, type Outcome } from './outcomes.js';
import { SubmissionModel, isUndecided, type AcceptedRequest, type Sender } from './submission-model.js';
import { TensorpixModel, type StartedStyle } from './tensorpix-model.js';

/** What becomes of a call. */
export interface Plan {
  /** TensorPix makes the job so long after the call began; null: never */
  madeAfterMs: number | null;
  started: StartedStyle;
  /** `given`: as soon as the job is there, if the call lasts so long. `lost`: the call times out. `reset`: it ends at once. */
  answer: 'given' | 'lost' | 'reset' | 'refused';
  /** The sender stops before it writes down what it knows. */
  stalls: boolean;
}

interface Call {
  sender: Sender;
  plan: Plan;
  startMs: number;
  made: boolean;
  ended: boolean;
}

/** One move of the world. `which` counts what there is to choose from; a move for which there is nothing does nothing. */
export type Step =
  /** A client asks; its row is claimed and, with a call, sent. Without one the sender stops before its call. */
  | { do: 'accept'; request: RequestName; strict: boolean; call: Plan | null }
  /** A sender that has stopped goes on: it calls, or writes down what its call came to. */
  | { do: 'wake'; which: number; call: Plan }
  | { do: 'crash'; which: number }
  /** The submitter: expired claims become unknown, due rows are claimed and, with a call, sent. */
  | { do: 'submit'; call: Plan | null }
  /** Clients without a row for their request ask again. */
  | { do: 'retry'; call: Plan }
  /** The reconciler reads so many answers; a look may take several of these. */
  | { do: 'look'; answers: number; fault: ReadFault }
  | { do: 'poll' }
  /** A person gives up a row of unknown outcome. */
  | { do: 'giveUp'; which: number }
  /** Another system makes a job on the account. */
  | { do: 'foreign'; request: RequestName; started: StartedStyle }
  /** A job ends, and leaves the list. */
  | { do: 'leave'; which: number; as: 'finished' | 'failed' }
  | { do: 'lapse'; shows: 'nothing' | 'past' }
  | { do: 'lag' }
  | { do: 'wait'; ms: number };

export interface Scenario {
  weather: Weather;
  steps: Step[];
}

const MOST_REQUESTS = 3;
const WHOLE_LOOK = 20;
const CALM_ROUNDS = 40;
const CALM_ROUND_MS = 20_000;
const CALM_CALL: Plan = { madeAfterMs: 0, started: 'made', answer: 'given', stalls: false };

/** The gateway, TensorPix and one clock for both. */
export class World {
  readonly tensorpix: TensorpixModel;
  readonly gateway: SubmissionModel;
  readonly looks: AccountLookModel;
  nowMs = 0;
  private calls: Call[] = [];

  private readonly timing: Timing;

  constructor(
    readonly protocol: Protocol,
    readonly weather: Weather,
  ) {
    this.timing = { ...TIMING, graceMs: weather.graceMs };
    const { timing } = this;
    this.gateway = new SubmissionModel(protocol, timing);
    this.tensorpix = new TensorpixModel(timing.graceMs / 4 - 1_000, () => this.looks.newestOwned);
    this.looks = new AccountLookModel(this.gateway, this.tensorpix, protocol, timing, weather);
  }

  /** A time of the gateway's on the clock of the world. */
  msOf(time: Date | null): number {
    return time === null ? -Infinity : time.getTime() - T0.getTime();
  }

  take(step: Step): void {
    switch (step.do) {
      case 'accept':
        return this.accept(step.request, step.strict, step.call);
      case 'wake':
        return this.wake(pick(this.gateway.stopped, step.which), step.call);
      case 'crash': {
        const sender = pick(this.gateway.senders, step.which);
        return sender && this.gateway.crash(sender);
      }
      case 'submit':
        return this.submit(step.call);
      case 'retry':
        return this.retry(step.call);
      case 'look':
        return this.look(step.answers, step.fault);
      case 'poll':
        return this.looks.poll(this.nowMs);
      case 'giveUp': {
        const row = pick(this.gateway.unknown, step.which);
        return row && this.gateway.giveUp(row, this.nowMs);
      }
      case 'foreign':
        return void this.tensorpix.make(step.request, null, this.nowMs, step.started);
      case 'leave': {
        const job = pick(
          this.tensorpix.jobs.filter(({ state }) => state === 'listed'),
          step.which,
        );
        if (job && this.weather.servesVideos) job.state = step.as;
        return;
      }
      case 'lapse':
        return this.tensorpix.lapseOnce(step.shows, this.nowMs);
      case 'lag':
        return this.tensorpix.standStill();
      case 'wait':
        return this.wait(step.ms);
    }
  }

  /** Faults stop and the clock goes on, until nothing is left to happen. */
  calmDown(afterEach: () => void): void {
    this.tensorpix.recover();
    for (let round = 0; round < CALM_ROUNDS && !this.isQuiet(); round += 1) {
      for (const sender of this.gateway.stopped) this.wake(sender, CALM_CALL);
      this.retry(CALM_CALL);
      this.submit(CALM_CALL);
      this.wait(CALM_ROUND_MS);
      this.looks.poll(this.nowMs);
      this.look(WHOLE_LOOK, 'none');
      afterEach();
    }
  }

  /** Nothing under way, and nothing to be found out or sent but what waits for a person. */
  private isQuiet(): boolean {
    const { senders, stored, requests, unknown } = this.gateway;
    if (senders.length > 0 || this.calls.length > 0 || requests.length > stored.length) return false;
    if (unknown.some((row) => !isUndecided(row))) return false;
    return stored.every(({ record, request }) => record.status !== 'submitting' || this.gateway.waits(request.name));
  }

  private accept(name: RequestName, strict: boolean, call: Plan | null): void {
    if (this.gateway.requests.length < MOST_REQUESTS) this.insert(this.gateway.accept(name, strict), call);
  }

  private retry(call: Plan): void {
    const { requests, rows } = this.gateway;
    for (const request of requests) if (!rows.some((row) => row.request === request)) this.insert(request, call);
  }

  private insert(request: AcceptedRequest, call: Plan | null): void {
    const sender = this.gateway.insert(request, this.nowMs);
    if (sender && call) this.send(sender, call);
  }

  private submit(call: Plan | null): void {
    this.gateway.expire(this.nowMs);
    for (const row of this.gateway.stored) {
      const sender = this.gateway.claim(row, this.nowMs);
      if (sender && call) this.send(sender, call);
    }
  }

  private wake(sender: Sender | undefined, call: Plan): void {
    if (sender?.outcome) this.gateway.record(sender, this.nowMs);
    else if (sender) this.send(sender, call);
  }

  private send(sender: Sender, plan: Plan): void {
    if (!this.gateway.send(sender, this.nowMs)) return;
    this.calls.push({ sender, plan, startMs: this.nowMs, made: false, ended: false });
    this.happen();
  }

  private look(answers: number, fault: ReadFault): void {
    for (let read = 0; read < answers; read += 1) if (!this.looks.goOn(this.nowMs, fault)) return;
  }

  private wait(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const next = Math.min(...this.calls.map((call) => this.nextOf(call)));
      if (next > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      this.happen();
    }
    this.nowMs = untilMs;
  }

  /** When something happens to a call next. */
  private nextOf({ plan, startMs, made, ended }: Call): number {
    const madeMs = made ? Infinity : this.madeAtMs(plan, startMs);
    return Math.min(madeMs, ended ? Infinity : this.endOf(plan, startMs));
  }

  private endOf({ answer }: Plan, startMs: number): number {
    return answer === 'refused' || answer === 'reset' ? startMs : startMs + this.timing.callTimeoutMs;
  }

  /** TensorPix makes a job within the timeout and the grace after the call began. */
  private madeAtMs({ answer, madeAfterMs }: Plan, startMs: number): number {
    const latestMs = this.timing.callTimeoutMs + this.timing.graceMs - 1_000;
    return madeAfterMs === null || answer === 'refused' ? Infinity : startMs + Math.min(madeAfterMs, latestMs);
  }

  /** What is due at this moment. An answer that comes with the end of the call is late. */
  private happen(): void {
    for (const call of this.calls) {
      const { plan, startMs, sender } = call;
      if (!call.ended && this.endOf(plan, startMs) <= this.nowMs)
        this.end(call, plan.answer === 'refused' ? REFUSED : UNKNOWN);
      if (call.made || this.madeAtMs(plan, startMs) > this.nowMs) continue;
      const { name, number } = sender.row.request;
      const { id } = this.tensorpix.make(name, number, this.nowMs, plan.started);
      call.made = true;
      if (plan.answer === 'given' && !call.ended)
        this.end(call, { kind: 'ok', value: { id, status: 'queued', costCredits: null } });
    }
    this.calls = this.calls.filter((call) => this.nextOf(call) < Infinity);
  }

  private end(call: Call, outcome: Outcome): void {
    call.ended = true;
    const { sender, plan } = call;
    if (!this.gateway.senders.includes(sender)) return;
    sender.outcome = outcome;
    if (!plan.stalls) this.gateway.record(sender, this.nowMs);
  }
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[which % items.length];
}
