import { Injectable } from '@nestjs/common';
import type { Lease } from '../../common/loops/lease.js';
import { Draining } from '../../common/draining.js';
import { Logger } from '../../common/logging/logger.js';
import { Metrics } from '../../common/metrics.js';
import { isDatabaseAway } from '../../common/prisma/database-errors.js';
import type { UpstreamJob } from '../tensorpix/answers.js';
import type { CallOutcome, Refusal } from '../tensorpix/call-outcome.js';
import { TensorpixClient } from '../tensorpix/tensorpix.client.js';
import { JobChangesStore } from './job-changes.store.js';
import { JobClaimsStore, type ActiveJob } from './job-claims.store.js';
import { observe, observeMissing, type Observed } from './job-observation.js';
import type { JobRecord } from './job-record.js';
import { SightingsStore } from './reconciliation/sightings.store.js';

/** Why a look ended before it had seen everything. */
export type LookTrouble =
  | { kind: 'rate_limited'; retryAfterMs: number | null }
  | { kind: 'token_rejected' }
  | { kind: 'unavailable' }
  | { kind: 'lease_over' };

export interface LookResult {
  trouble: LookTrouble | null;
  /** the shortest ETA of what runs; null when none is known */
  soonestEtaSeconds: number | null;
  left: number;
}

const ACTIVE_A_LOOK = 10_000;
const PAGE_SIZE = 100;
const PAGES_A_LOOK = 60;
/** Up to this many jobs are asked for one by one, which is never dearer than a page of the list. */
const SINGLE_CALLS_INSTEAD_OF_LIST = 2;
/** Jobs that the list did not show, asked for by id: the others wait for the next look. */
const SINGLE_CALLS_A_LOOK = 20;
const SINGLE_FAILURES_A_LOOK = 3;

/** The claim under which a look writes, and the token it asks with. */
export interface LookContext {
  tenantId: string;
  accountId: string;
  token: string;
  lease: Lease;
  callTimeoutMs: number;
}

class Interrupted extends Error {
  constructor(readonly trouble: LookTrouble) {
    super(trouble.kind);
  }
}

/**
 * One look at everything that a tenant has at TensorPix: wanted cancels first, then the list page by page until every
 * job was seen, then by id what the list did not show. A list that shifts between its pages only costs single calls.
 */
@Injectable()
export class TenantLook {
  constructor(
    private readonly tensorpix: TensorpixClient,
    private readonly claims: JobClaimsStore,
    private readonly changes: JobChangesStore,
    private readonly sightings: SightingsStore,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
    private readonly draining: Draining,
  ) {}

  async look(context: LookContext): Promise<LookResult> {
    const active = await this.claims.findAtTensorpix(context.tenantId, ACTIVE_A_LOOK);
    const unseen = new Map(active.map((job) => [job.tensorpixId, job]));
    const etas: number[] = [];
    const note = (seen: UpstreamJob[]) => {
      for (const { id, etaSeconds } of seen) if (unseen.delete(id) && etaSeconds !== null) etas.push(etaSeconds);
    };
    try {
      await this.cancelWanted(context, active);
      if (active.length > SINGLE_CALLS_INSTEAD_OF_LIST) await this.readList(context, unseen, note);
      await this.readSingles(context, sample([...unseen.keys()], SINGLE_CALLS_A_LOOK), note);
      return { trouble: null, soonestEtaSeconds: etas.length > 0 ? Math.min(...etas) : null, left: unseen.size };
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      return { trouble: error.trouble, soonestEtaSeconds: null, left: unseen.size };
    }
  }

  /** Cancels that could not be confirmed when they were asked for. TensorPix's answer shows in the look that follows. */
  private async cancelWanted(context: LookContext, active: ActiveJob[]): Promise<void> {
    const wanted = active.filter((job) => job.cancelRequested).map(({ tensorpixId }) => tensorpixId);
    for (const tensorpixId of sample(wanted, SINGLE_CALLS_A_LOOK)) {
      const outcome = await this.ask(context, () => this.tensorpix.cancelJob(context.token, tensorpixId));
      if (outcome.kind === 'refused') this.interruptOn(outcome.refusal);
    }
  }

  private async readList(
    context: LookContext,
    unseen: Map<number, ActiveJob>,
    note: (seen: UpstreamJob[]) => void,
  ): Promise<void> {
    let offset = 0;
    for (let pages = 0; pages < PAGES_A_LOOK && unseen.size > 0; pages += 1) {
      const outcome = await this.ask(context, () => this.tensorpix.listJobs(context.token, PAGE_SIZE, offset));
      const { items, entries, hasNext } = this.valueOf(outcome);
      await this.apply(
        context,
        items.filter(({ id }) => unseen.has(id)),
      );
      note(items);
      await this.sightings.note(
        context.accountId,
        items.map(({ id }) => id),
      );
      offset += entries;
      if (!hasNext || entries === 0) return;
    }
  }

  private async readSingles(context: LookContext, ids: number[], note: (seen: UpstreamJob[]) => void): Promise<void> {
    let failures = 0;
    for (const id of ids) {
      const outcome = await this.ask(context, () => this.tensorpix.getJob(context.token, id));
      const known = isNotFound(outcome)
        ? await this.ask(context, () => this.tensorpix.getHistoryJob(context.token, id))
        : outcome;
      if (isNotFound(known)) await this.applyMissing(context, id);
      else if (known.kind === 'ok') {
        await this.apply(context, known.value.id === id ? [known.value] : []);
        note([known.value]);
      } else {
        if (known.kind === 'refused') this.interruptOn(known.refusal);
        // One job that TensorPix cannot show must not hide the others; TensorPix being down must not be asked on.
        failures += 1;
        if (failures >= SINGLE_FAILURES_A_LOOK) throw new Interrupted({ kind: 'unavailable' });
      }
    }
    if (failures > 0 && failures === ids.length) throw new Interrupted({ kind: 'unavailable' });
  }

  private async apply(context: LookContext, seen: UpstreamJob[]): Promise<void> {
    if (seen.length === 0) return;
    const byId = new Map(seen.map((job) => [job.id, job]));
    const rows = await this.claims.findByTensorpixIds(context.tenantId, [...byId.keys()]);
    await Promise.all(
      rows.map(async ({ job, time }) => {
        const upstream = byId.get(job.tensorpixId ?? 0);
        if (upstream) await this.writeOne(context, job, () => observe(job, upstream, time.now()));
      }),
    );
  }

  private async applyMissing(context: LookContext, tensorpixId: number): Promise<void> {
    const [row] = await this.claims.findByTensorpixIds(context.tenantId, [tensorpixId]);
    if (row) await this.writeOne(context, row.job, () => observeMissing(row.job, row.time.now()));
  }

  /** A row that cannot be written is reported and skipped: it must not keep its neighbours from being seen. */
  private async writeOne(context: LookContext, job: JobRecord, observed: () => Observed): Promise<void> {
    try {
      await this.write(context, job, observed());
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      this.metrics.ignoredObservations.inc({ reason: 'unwritable' });
      this.logger.error({ err: error, job_id: job.id }, 'an observation could not be written');
    }
  }

  private async write({ lease }: LookContext, job: JobRecord, observed: Observed): Promise<void> {
    if ('ignored' in observed) {
      if (observed.ignored !== 'unchanged') this.metrics.ignoredObservations.inc({ reason: observed.ignored });
      return;
    }
    const written = await this.changes.apply(observed.change, { pollLease: lease.token });
    // Somebody was faster, or the claim is gone: the next look sees what is true then.
    if (!written) this.metrics.ignoredObservations.inc({ reason: 'moved_on' });
  }

  private async ask<T>(
    { lease, callTimeoutMs }: LookContext,
    call: () => Promise<CallOutcome<T>>,
  ): Promise<CallOutcome<T>> {
    if (this.draining.begun || !lease.covers(callTimeoutMs)) throw new Interrupted({ kind: 'lease_over' });
    return call();
  }

  private valueOf<T>(outcome: CallOutcome<T>): T {
    if (outcome.kind === 'ok') return outcome.value;
    if (outcome.kind === 'refused') this.interruptOn(outcome.refusal);
    throw new Interrupted({ kind: 'unavailable' });
  }

  private interruptOn({ reason, retryAfterMs }: Refusal): void {
    if (reason === 'rate_limited') throw new Interrupted({ kind: 'rate_limited', retryAfterMs });
    if (reason === 'token_rejected') throw new Interrupted({ kind: 'token_rejected' });
  }
}

function isNotFound(outcome: CallOutcome<unknown>): boolean {
  return outcome.kind === 'refused' && outcome.refusal.reason === 'not_found';
}

/** Some of them, drawn by lot: whatever is left over has the same chance at the next look. */
function sample(ids: number[], size: number): number[] {
  const lots = ids.map((id) => ({ id, lot: Math.random() }));
  return lots
    .sort((a, b) => a.lot - b.lot)
    .slice(0, size)
    .map(({ id }) => id);
}
