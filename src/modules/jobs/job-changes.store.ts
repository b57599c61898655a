import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { Metrics } from '../../common/metrics.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { queueWebhooks } from '../webhooks/deliveries.sql.js';
import type { NewWebhook } from '../webhooks/webhook-types.js';
import type { JobChange } from './job-change.js';
import { changeInput, changedRows, EVENTS, PACED } from './job-changes.sql.js';
import { isAtTensorpix, isLeftToPerson } from './job-state.js';
import { Listeners } from './listeners.js';
import { changeKeys } from './idempotency/idempotency.sql.js';
import { isUnknown } from './reconciliation/judgement.js';
import { WAKE_ACCOUNTS, wakeEquals } from './reconciliation/wake-up.sql.js';

/** What must still hold when a change is written, beside the sequence number that it was made from. */
export interface Fence {
  /** The send-lease of the row itself. */
  sendLease?: string;
  /** The poll-lease of the row's tenant. */
  pollLease?: string;
  /** The reconcile-lease of the row's account. */
  reconcileLease?: string;
}

interface FencedChange {
  change: JobChange;
  fence: Fence;
  /** its webhooks may have a receiver; else the statement makes sure that they have none */
  heard: boolean;
}

const CHANGES_A_STATEMENT = 200;

/** Everything that changes jobs. One statement for many changes; each is applied whole or not at all. */
@Injectable()
export class JobChangesStore {
  private readonly batcher = new MicroBatcher((items: FencedChange[]) => this.applyMany(items), {
    maxItems: CHANGES_A_STATEMENT,
    concurrency: 1,
  });

  private readonly listeners = new Listeners();

  constructor(
    private readonly prisma: PrismaService,
    private readonly wakeUps: WakeUps,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Writes one change, together with whatever others wait at the moment. A change without a known receiver is written on the
   * condition that there is none; when that was not written, once more, with its webhooks (ADR 16).
   *
   * @returns false when the row has moved on, or the claim is gone; then nothing was written
   */
  async apply(change: JobChange, fence: Fence = {}): Promise<boolean> {
    const { webhooks, after } = change;
    const heard = webhooks.some(({ url }) => url !== null) || this.listeners.has(after.tenantId);
    const written = await this.batcher.add({ change, fence, heard });
    if (written || heard || webhooks.length === 0) return written;
    const told = await this.batcher.add({ change, fence, heard: true });
    if (told) this.listeners.add(after.tenantId);
    return told;
  }

  private async applyMany(all: FencedChange[]): Promise<boolean[]> {
    // Of two changes made from the same row only one can be true; the other finds that the row has moved on.
    // In one order everywhere, so that two replicas that change the same rows do not wait for each other in a circle.
    const items = [...new Map(all.map((item) => [item.change.after.id, item])).values()].sort(byId);
    const webhooks = items.some(({ heard }) => heard) ? items.flatMap(({ change }) => change.webhooks) : [];
    const tells = webhooks.length > 0;
    const parts = [
      changeInput(items.map(toChangeRow)),
      changedRows(tells),
      EVENTS,
      PACED,
      ...sideEffects(items, webhooks),
    ];
    const changed = await this.prisma.$rows<{ id: string; queued: boolean }>`
      with ${Prisma.join(parts, ', ')}
      select id, ${tells ? Prisma.sql`exists (select 1 from queued)` : Prisma.sql`false`} as queued from changed`;
    const ids = new Set(changed.map(({ id }) => id));
    if (changed.some(({ queued }) => queued)) this.wakeUps.ring('deliveries');
    const written = new Set(items.filter(({ change }) => ids.has(change.after.id)));
    if ([...written].some(({ change }) => wantsLook(change))) this.wakeUps.ring('looks');
    for (const { change } of written) this.count(change);
    return all.map((item) => written.has(item));
  }

  private count({ before, after }: JobChange): void {
    const { kind, status } = after;
    if (status !== before.status) this.metrics.transitions.inc({ kind, status });
    if (isLeftToPerson(after) && !isLeftToPerson(before)) this.metrics.leftToPerson.inc();
  }
}

/** The statement has planned a look for now: a cancel must not wait for the next one. */
function wantsLook({ after: { status, cancelRequestedAt } }: JobChange): boolean {
  return isAtTensorpix(status) && cancelRequestedAt !== null;
}

/** What only some changes bring along: webhooks, idempotency keys, and the wake-ups of reconciliation. */
function sideEffects(items: FencedChange[], webhooks: NewWebhook[]): Prisma.Sql[] {
  const changes = items.map(({ change }) => change);
  const keys = changes.flatMap(({ key, after: { tenantId, id: jobId } }) =>
    key ? [{ tenantId, jobId, effect: key }] : [],
  );
  const known = changes.filter(({ before, after }) => isUnknown(before) && !isUnknown(after));
  return [
    ...(webhooks.length > 0 ? [queueWebhooks(webhooks)] : []),
    ...(keys.length > 0 ? [changeKeys(keys)] : []),
    ...(changes.some(({ before, after }) => isUnknown(after) && !isUnknown(before)) ? [WAKE_ACCOUNTS] : []),
    ...(known.length > 0 ? [wakeEquals(known.map(({ after }) => after))] : []),
  ];
}

function byId(a: FencedChange, b: FencedChange): number {
  return a.change.after.id < b.change.after.id ? -1 : 1;
}

function toChangeRow({ change: { before, after, events, webhooks }, fence }: FencedChange): Record<string, unknown> {
  return {
    id: after.id,
    tenant_id: after.tenantId,
    made_from: before.sequence,
    send_lease: fence.sendLease ?? null,
    poll_lease: fence.pollLease ?? null,
    reconcile_lease: fence.reconcileLease ?? null,
    at_tensorpix: isAtTensorpix(after.status),
    cancels: after.cancelRequestedAt !== null,
    tells: webhooks.map(({ type }) => type),
    status: after.status,
    status_reason: after.statusReason,
    tensorpix_id: after.tensorpixId,
    progress: after.progress,
    eta_seconds: after.etaSeconds,
    cost_credits: after.costCredits,
    output: after.output,
    error: after.error,
    sequence: after.sequence,
    reported_progress: after.reportedProgress,
    attempt: after.attempt,
    unknown_since: after.unknownSince,
    clean_looks: after.cleanLooks,
    clean_look_at: after.cleanLookAt,
    doubted_since: after.doubtedSince,
    due_at: after.dueAt,
    lease_token: after.leaseToken,
    lease_expires_at: after.leaseExpiresAt,
    cancel_requested_at: after.cancelRequestedAt,
    result_awaited_since: after.resultAwaitedSince,
    missing_since: after.missingSince,
    missing_looks: after.missingLooks,
    submitted_at: after.submittedAt,
    started_at: after.startedAt,
    finished_at: after.finishedAt,
    updated_at: after.updatedAt,
    events,
  };
}
