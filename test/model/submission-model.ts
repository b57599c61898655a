import { changeJob, type JobChange } from '../../src/modules/jobs/job-change.js';
import type { JobRecord } from '../../src/modules/jobs/job-record.js';
import { IllegalTransitionError, isTerminal } from '../../src/modules/jobs/job-state.js';
import type { Timing, Verdict } from '../../src/modules/jobs/reconciliation/judgement.js';
import { observableKey } from '../../src/modules/jobs/reconciliation/observable-key.js';
import { verdictChange } from '../../src/modules/jobs/reconciliation/verdict-change.js';
import { settle, settleExpired, settleLate, unsent } from '../../src/modules/jobs/submission-change.js';
import { decide, type Decision } from '../../src/modules/jobs/submission-outcome.js';
import { at, jobRecord } from '../support/job-records.js';
import { ID_OWNED, PARKED, type Outcome } from './outcomes.js';
import { LEASE_MARGIN_MS, SETTLE_MS, type Protocol } from './protocol.js';
import { REQUESTS, REQUEST_NAMES, sameKey, type RequestName } from './requests.js';

/** What a client asked for. */
export interface AcceptedRequest {
  number: number;
  name: RequestName;
  strict: boolean;
}

export interface Row {
  request: AcceptedRequest;
  record: JobRecord;
  /** A row that is not is only in its sender's memory. */
  committed: boolean;
  calls: number;
  /** of these, those of unknown outcome */
  unknownCalls: number;
  /** ids of TensorPix jobs that came for a row that had one */
  duplicates: number[];
}

/** True when a person has been asked. */
export function isUndecided({ record: { status, statusReason } }: Row): boolean {
  return status === 'unconfirmed' && statusReason === 'outcome_unknown';
}

/** A process that holds, or held, the claim of a row. */
export interface Sender {
  row: Row;
  lease: string;
  leaseExpiresMs: number;
  called: boolean;
  /** what its call came to, which it has not written down */
  outcome: Outcome | null;
}

const KEYS = Object.fromEntries(REQUEST_NAMES.map((name) => [name, observableKey(REQUESTS[name])])) as Record<
  RequestName,
  string
>;

/** The gateway's rows, and the processes that send them; the production code decides what follows from what. */
export class SubmissionModel {
  readonly requests: AcceptedRequest[] = [];
  readonly rows: Row[] = [];
  senders: Sender[] = [];
  /** ids that senders have got as answers, and lived to write down */
  readonly told: { row: Row; id: number }[] = [];
  private leases = 0;

  constructor(
    private readonly protocol: Protocol,
    private readonly timing: Timing,
  ) {}

  /** Senders that have stopped before their call, or after it. */
  get stopped(): Sender[] {
    return this.senders.filter(({ called, outcome }) => !called || outcome !== null);
  }

  get stored(): Row[] {
    return this.rows.filter(({ committed }) => committed);
  }

  /** Rows of unknown outcome that still may have a job at TensorPix. */
  get unknown(): Row[] {
    return this.stored.filter(({ record: { status, cleanLooks } }) => status === 'unconfirmed' && cleanLooks < 2);
  }

  /** Rows that a person has given up, whose jobs TensorPix may have. */
  get givenUp(): Row[] {
    return this.stored.filter(
      ({ record: { status, unknownSince, tensorpixId, cleanLooks } }) =>
        status === 'failed' && unknownSince !== null && tensorpixId === null && cleanLooks < 2,
    );
  }

  /**
   * Keys of which a call is under way, its sender dead or not; and those of which a call has become unknown since the rows of a look
   * were read.
   */
  keysInFlight(read: readonly Row[]): Set<string> {
    const missed = this.protocol.seesNewlyUnknown ? this.unknown.filter((row) => !read.includes(row)) : [];
    const claimed = this.stored.filter(({ record }) => record.status === 'submitting' && record.leaseToken !== null);
    return new Set([...claimed, ...missed].map(({ record }) => record.observableKey ?? ''));
  }

  /** When the latest of a row's equals was found to be unknown, whatever has become of it. */
  equalsUnknownSince({ record: { observableKey, unknownSince } }: Row): Date | null {
    if (!this.protocol.waitsForEquals) return unknownSince;
    const equals = this.stored.filter(({ record }) => record.observableKey === observableKey && record.unknownSince);
    return new Date(Math.max(...equals.map(({ record }) => record.unknownSince?.getTime() ?? 0)));
  }

  ownerOf(id: number): Row | undefined {
    return this.stored.find(({ record }) => record.tensorpixId === id);
  }

  /** The newest job that is under way as far as the gateway knows. */
  newestOwned(): number | null {
    const active = this.stored.filter(({ record: { status } }) => status === 'queued' || status === 'processing');
    const newest = active.sort((a, b) => submittedMs(b) - submittedMs(a))[0];
    return newest?.record.tensorpixId ?? null;
  }

  accept(name: RequestName, strict: boolean): AcceptedRequest {
    const request = { number: this.requests.length, name, strict };
    this.requests.push(request);
    return request;
  }

  /** Commits the row of a request, claimed at once if it may be sent. */
  insert(request: AcceptedRequest, nowMs: number): Sender | null {
    const record = jobRecord({
      id: `row ${request.number}`,
      status: 'submitting',
      tensorpixId: null,
      input: REQUESTS[request.name],
      observableKey: KEYS[request.name],
      strict: request.strict,
      parks: true,
      attempt: 0,
      callbackUrl: null,
      dueAt: at(nowMs),
      calledAt: null,
      submittedAt: null,
    });
    const committed = this.protocol.intentFirst;
    const row = { request, record, committed, calls: 0, unknownCalls: 0, duplicates: [] };
    this.rows.push(row);
    return this.claim(row, nowMs);
  }

  /** True while a request is not sent because an equal one is unknown. */
  waits(name: RequestName): boolean {
    return this.protocol.parksEquals && this.unknown.some(({ request }) => sameKey(request.name, name));
  }

  claim(row: Row, nowMs: number): Sender | null {
    const { status, dueAt } = row.record;
    if (status !== 'submitting' || dueAt === null || dueAt > at(nowMs)) return null;
    if (this.waits(row.request.name)) return null;
    const lease = `lease ${(this.leases += 1)}`;
    const leaseExpiresMs = nowMs + this.timing.callTimeoutMs + LEASE_MARGIN_MS;
    row.record = {
      ...row.record,
      leaseToken: lease,
      leaseExpiresAt: at(leaseExpiresMs),
      calledAt: at(nowMs),
      dueAt: null,
      attempt: row.record.attempt + 1,
    };
    const sender = { row, lease, leaseExpiresMs, called: false, outcome: null };
    this.senders.push(sender);
    return sender;
  }

  /** A sender goes on: it calls, if its claim still covers the call. Returns whether it does. */
  send(sender: Sender, nowMs: number): boolean {
    const { row, lease, leaseExpiresMs } = sender;
    if (this.protocol.checksLease && nowMs + this.timing.callTimeoutMs + SETTLE_MS > leaseExpiresMs) {
      this.crash(sender);
      if (row.record.leaseToken === lease) this.write(row, unsent(row.record, at(nowMs)));
      return false;
    }
    row.calls += 1;
    sender.called = true;
    return true;
  }

  /** A sender writes down what its call came to. */
  record(sender: Sender, nowMs: number): void {
    const { row, outcome } = sender;
    if (!outcome) return;
    this.leave(sender);
    row.committed = true;
    if (outcome.kind === 'ok') this.told.push({ row, id: outcome.value.id });
    const holds = row.record.leaseToken === sender.lease || !this.protocol.fencesDecisions;
    const decision = this.weaken(decide(row.record, outcome, row.request.strict, () => 0.5));
    try {
      if (this.bindsTaken(row, decision)) {
        if (holds) this.write(row, settle(row.record, ID_OWNED, at(nowMs), false));
      } else if (holds) this.write(row, settle(row.record, decision, at(nowMs), false));
      else if (this.protocol.lateIdsBind) this.write(row, settleLate(row.record, decision, at(nowMs)));
    } catch (error) {
      // Without the fence only the table of states is left to stop a sender whose row has moved on.
      if (this.protocol.fencesDecisions || !(error instanceof IllegalTransitionError)) throw error;
    }
  }

  crash(sender: Sender): void {
    this.leave(sender);
    if (!sender.row.committed) this.rows.splice(this.rows.indexOf(sender.row), 1);
  }

  /** Rows whose claim has expired become unknown. */
  expire(nowMs: number): void {
    for (const row of this.stored) {
      const { leaseExpiresAt } = row.record;
      if (leaseExpiresAt === null || leaseExpiresAt > at(nowMs)) continue;
      const change = this.protocol.unknownWaits
        ? settleExpired(row.record, at(nowMs))
        : settle(row.record, PARKED, at(nowMs), false);
      this.write(row, change);
    }
  }

  /** Writes what a look has led to, unless the row has changed since it was read. */
  apply(row: Row, read: JobRecord, verdict: Verdict, lookBegunMs: number, nowMs: number): void {
    if (row.record !== read) return;
    if (verdict.kind === 'adopt' && this.protocol.uniqueIds && this.ownerOf(verdict.job.id)) return;
    const job = this.protocol.strictIsFinal ? read : { ...read, strict: false };
    this.write(row, verdictChange(job, verdict, at(lookBegunMs), at(nowMs), at(nowMs), row.unknownCalls));
  }

  /** A person does not want to know any more what became of a row. */
  giveUp(row: Row, nowMs: number): void {
    this.write(row, changeJob(row.record, { status: 'failed' }, at(nowMs)));
  }

  /** TensorPix says that the job of a row has ended. */
  ended(row: Row, nowMs: number): void {
    if (isTerminal(row.record.status)) return;
    this.write(row, changeJob(row.record, { status: 'finished' }, at(nowMs)));
  }

  write(row: Row, change: JobChange | null): void {
    if (!change) return;
    row.record = change.after;
    row.unknownCalls += change.events.filter(({ type }) => type === 'job.unconfirmed').length;
    for (const { type, data } of change.events)
      if (type === 'job.upstream_duplicate') row.duplicates.push(Number(data.tensorpix_id));
  }

  private bindsTaken(row: Row, decision: Decision): boolean {
    if (!this.protocol.uniqueIds || decision.kind !== 'bind') return false;
    const owner = this.ownerOf(decision.created.id);
    return owner !== undefined && owner !== row;
  }

  private weaken(decision: Decision): Decision {
    return decision.kind === 'unconfirm' && !this.protocol.unknownWaits ? PARKED : decision;
  }

  private leave(sender: Sender): void {
    this.senders = this.senders.filter((other) => other !== sender);
  }
}

function submittedMs({ record }: Row): number {
  return record.submittedAt?.getTime() ?? 0;
}
