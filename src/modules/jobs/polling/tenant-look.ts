import { Injectable } from '@nestjs/common';
import { Logger } from '../../../common/logging/logger.js';
import { Metrics } from '../../../common/metrics.js';
import { isDatabaseAway } from '../../../common/prisma/database-errors.js';
import type { ShownJob, UpstreamJob, UpstreamPage } from '../../tensorpix/answers.js';
import { isRefusedFor } from '../../tensorpix/call-outcome.js';
import { lookUpJob } from '../../tensorpix/job-lookup.js';
import { TensorpixClient } from '../../tensorpix/tensorpix.client.js';
import { JobChangesStore } from '../job-changes.store.js';
import { observe, observeMissing, type Observed } from '../job-observation.js';
import type { JobRecord } from '../job-record.js';
import { SightingsStore } from '../reconciliation/sightings.store.js';
import { LookCalls, LookInterrupted, type LookContext, type LookTrouble } from './look-calls.js';
import { ListSweep, PAGE_SIZE, planLook, SINGLES_A_LOOK, type ListKnowledge, type LookPlan } from './look-plan.js';
import { ObservationsStore } from './observations.store.js';
import { Outlook, type PaceBounds } from './outlook.js';

export interface LookResult {
  trouble: LookTrouble | null;
  /** when the next one is worth its calls, if this one was not interrupted */
  nextLookInMs: number;
  /** null when the list taught nothing */
  learned: ListKnowledge | null;
}

const SINGLE_FAILURES_A_LOOK = 3;
/**
 * Until when a look begins calls of a kind, counted from its beginning: whoever is slow, or slowed down, has a place for so
 * long, and none of the three keeps the others from their turn. The next look goes on.
 */
const CANCELS_UNTIL_MS = 15_000;
const LIST_UNTIL_MS = 45_000;
const SINGLES_UNTIL_MS = 60_000;
/** Made in any case: what leaves the list shows in no other way. */
const LEAST_SINGLES = 3;
/** Why an observation changed nothing: these are nothing to count, or counted already. */
const QUIET: readonly string[] = ['unchanged', 'unknown_status'];

/** A look under way. */
interface Looking {
  context: LookContext;
  /** TensorPix's ids of the tenant's jobs */
  ours: ReadonlySet<number>;
  /** of these, those that were not seen yet */
  unseen: Set<number>;
  outlook: Outlook;
  startedAtMs: number;
  /** null when the list has taught nothing */
  learned: ListKnowledge | null;
  /** a page could not be read: TensorPix may be down */
  listFails: boolean;
}

/**
 * One look at everything that a tenant has at TensorPix: wanted cancels first, then the list page by page until every
 * job was seen, then by id what the list did not show. A list that shifts between its pages only costs single calls.
 */
@Injectable()
export class TenantLook {
  constructor(
    private readonly tensorpix: TensorpixClient,
    private readonly calls: LookCalls,
    private readonly observations: ObservationsStore,
    private readonly changes: JobChangesStore,
    private readonly sightings: SightingsStore,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {}

  async look(context: LookContext, bounds: PaceBounds, known: ListKnowledge | null): Promise<LookResult> {
    const { ids, cancels, youngestQueuedMs } = await this.observations.findActive(context.tenantId);
    const looking: Looking = {
      context,
      ours: new Set(ids),
      unseen: new Set(ids),
      outlook: new Outlook(bounds, youngestQueuedMs),
      startedAtMs: performance.now(),
      learned: null,
      listFails: false,
    };
    const { unseen, outlook } = looking;
    try {
      await this.cancelWanted(looking, cancels);
      const plan = planLook(unseen.size, known);
      if (plan.by === 'list') await this.readList(looking, plan);
      await this.readSingles(looking, sample([...unseen], SINGLES_A_LOOK));
      return { trouble: null, nextLookInMs: outlook.nextLookInMs(unseen.size > 0), learned: looking.learned };
    } catch (error) {
      if (!(error instanceof LookInterrupted)) throw error;
      return { trouble: error.trouble, nextLookInMs: outlook.nextLookInMs(true), learned: looking.learned };
    }
  }

  /** Cancels that could not be confirmed when they were asked for. TensorPix's answer shows in the look that follows. */
  private async cancelWanted(looking: Looking, wanted: number[]): Promise<void> {
    const { context } = looking;
    let unanswered = 0;
    for (const tensorpixId of sample(wanted, SINGLES_A_LOOK)) {
      if (isPast(looking, CANCELS_UNTIL_MS)) return;
      const outcome = await this.calls.ask(context, () => this.tensorpix.cancelJob(context.token, tensorpixId));
      if (outcome.kind !== 'ok' && outcome.kind !== 'refused') unanswered += 1;
      if (unanswered >= SINGLE_FAILURES_A_LOOK) return;
    }
  }

  /** What it has learned is kept however it ends: the next look goes on from there. */
  private async readList(looking: Looking, plan: LookPlan & { by: 'list' }): Promise<void> {
    const { context } = looking;
    const sweep = new ListSweep(plan);
    try {
      for (let offset = sweep.next; offset !== null; offset = sweep.next) {
        const from = offset;
        const page = await this.calls.ask(context, () => this.tensorpix.listJobs(context.token, PAGE_SIZE, from));
        if (page.kind === 'not_sent') throw new LookInterrupted({ kind: 'unavailable' });
        if (page.kind === 'ok') await this.readPage(looking, sweep, page.value);
        else {
          looking.listFails = true;
          sweep.skip();
        }
        if (isPast(looking, LIST_UNTIL_MS)) sweep.stop();
      }
    } catch (error) {
      sweep.stop();
      throw error;
    } finally {
      looking.learned = sweep.knowledge;
    }
  }

  private async readPage(looking: Looking, sweep: ListSweep, page: UpstreamPage<ShownJob>): Promise<void> {
    const { items, entries, hasNext } = page;
    const found = items.filter(({ id }) => looking.unseen.has(id));
    await this.note(looking, found);
    await this.noteOthers(looking, items);
    sweep.read({ entries, hasNext, found: found.length }, looking.unseen.size);
  }

  private async noteOthers({ context, ours }: Looking, items: ShownJob[]): Promise<void> {
    const others = items.map(({ id }) => id).filter((id) => !ours.has(id));
    await this.sightings.note(context.accountId, others);
  }

  private async readSingles(looking: Looking, ids: number[]): Promise<void> {
    const { context } = looking;
    const mostFailures = looking.listFails ? 1 : SINGLE_FAILURES_A_LOOK;
    let failures = 0;
    for (const [made, id] of ids.entries()) {
      if (made >= LEAST_SINGLES && isPast(looking, SINGLES_UNTIL_MS)) break;
      const known = await lookUpJob(this.tensorpix, context.token, id, (call) => this.calls.ask(context, call));
      if (isRefusedFor(known, 'not_found')) await this.noteMissing(context, id);
      else if (known.kind === 'ok') await this.note(looking, known.value.id === id ? [known.value] : []);
      else {
        // One job that TensorPix cannot show must not hide the others; TensorPix being down must not be asked on.
        failures += 1;
        if (failures >= mostFailures) throw new LookInterrupted({ kind: 'unavailable' });
      }
    }
    if (failures > 0 && failures === ids.length) throw new LookInterrupted({ kind: 'unavailable' });
  }

  private async note({ context, unseen, outlook }: Looking, seen: UpstreamJob[]): Promise<void> {
    if (seen.length === 0) return;
    const { tenantId, lease } = context;
    const unknown = seen.filter(({ status }) => status === null).length;
    if (unknown > 0) this.metrics.ignoredObservations.inc({ reason: 'unknown_status' }, unknown);
    const byId = new Map(seen.map((job) => [job.id, job]));
    const rows = await this.observations.findChanged(tenantId, lease.token, [...byId.values()]);
    await Promise.all(
      rows.map(async ({ job, time }) => {
        const upstream = byId.get(job.tensorpixId ?? 0);
        if (upstream) await this.writeOne(context, job, () => observe(job, upstream, time.now()));
      }),
    );
    this.metrics.observations.inc(seen.length);
    for (const job of seen) {
      unseen.delete(job.id);
      outlook.note(job);
    }
  }

  private async noteMissing(context: LookContext, tensorpixId: number): Promise<void> {
    const row = await this.observations.findActiveRow(context.tenantId, tensorpixId);
    if (row) await this.writeOne(context, row.job, () => observeMissing(row.job, row.time.now()));
  }

  /** A row that cannot be written is reported and skipped: it must not keep its neighbours from being seen. */
  private async writeOne(context: LookContext, job: JobRecord, observed: () => Observed): Promise<void> {
    try {
      await this.write(context, observed());
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      this.metrics.ignoredObservations.inc({ reason: 'unwritable' });
      this.logger.error({ err: error, job_id: job.id }, 'an observation could not be written');
    }
  }

  private async write({ lease }: LookContext, observed: Observed): Promise<void> {
    if ('ignored' in observed) {
      if (!QUIET.includes(observed.ignored)) this.metrics.ignoredObservations.inc({ reason: observed.ignored });
      return;
    }
    const written = await this.changes.apply(observed.change, { pollLease: lease.token });
    // Somebody was faster, or the claim is gone: the next look sees what is true then.
    if (!written) this.metrics.ignoredObservations.inc({ reason: 'moved_on' });
  }
}

function isPast({ startedAtMs }: Looking, ms: number): boolean {
  return performance.now() - startedAtMs >= ms;
}

/** Some of them, drawn by lot: whatever is left over has the same chance at the next look. */
function sample(ids: number[], size: number): number[] {
  const lots = ids.map((id) => ({ id, lot: Math.random() }));
  return lots
    .sort((a, b) => a.lot - b.lot)
    .slice(0, size)
    .map(({ id }) => id);
}
