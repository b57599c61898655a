import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { MicroBatcher } from '../../common/loops/micro-batcher.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { Metrics } from '../../common/metrics.js';
import { PrismaService } from '../../common/prisma/prisma.service.js';
import { DUE_NOW } from '../../common/prisma/due-now.sql.js';
import { hasStandingReceiver, queueWebhooks } from '../webhooks/deliveries.sql.js';
import type { NewWebhook } from '../webhooks/webhook-types.js';
import type { JobChange } from './job-change.js';
import { isAtTensorpix, isLeftToPerson } from './job-state.js';
import { Listeners } from './listeners.js';
import { changeKeys } from './idempotency/idempotency.sql.js';
import { isUnknown, WAKE_ACCOUNTS, wakeEquals } from './reconciliation/wake-up.sql.js';

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
    const besides = sideEffects(items, webhooks);
    const changed = await this.prisma.$rows<{ id: string; queued: boolean }>`
      with input as (
        select * from json_to_recordset(${JSON.stringify(items.map(toChangeRow))}::json) as t(
          id uuid, tenant_id uuid, made_from integer, send_lease uuid, poll_lease uuid, reconcile_lease uuid, at_tensorpix boolean,
          cancels boolean, tells text[],
          status text, status_reason text, tensorpix_id bigint, progress float8, eta_seconds float8,
          cost_credits numeric, output jsonb, error jsonb, sequence integer, reported_progress float8,
          attempt integer, unknown_since timestamptz, clean_looks integer, clean_look_at timestamptz,
          doubted_since timestamptz,
          due_at timestamptz, lease_token uuid, lease_expires_at timestamptz,
          cancel_requested_at timestamptz, result_awaited_since timestamptz, missing_since timestamptz,
          missing_looks integer, submitted_at timestamptz, started_at timestamptz, finished_at timestamptz,
          updated_at timestamptz, events json)
      ), changed as (
        update jobs j
           set status = i.status, status_reason = i.status_reason, tensorpix_id = i.tensorpix_id,
               progress = i.progress, eta_seconds = i.eta_seconds, cost_credits = i.cost_credits, output = i.output,
               error = i.error, sequence = i.sequence, reported_progress = i.reported_progress, attempt = i.attempt,
               unknown_since = case when i.status = 'unconfirmed' and j.status <> 'unconfirmed' then now()
                                    else i.unknown_since end, clean_looks = i.clean_looks, clean_look_at = i.clean_look_at,
               doubted_since = i.doubted_since,
               due_at = i.due_at, lease_token = i.lease_token, lease_expires_at = i.lease_expires_at,
               cancel_requested_at = i.cancel_requested_at, result_awaited_since = i.result_awaited_since,
               missing_since = i.missing_since, missing_looks = i.missing_looks, submitted_at = i.submitted_at,
               started_at = i.started_at, finished_at = i.finished_at, updated_at = i.updated_at
          from input i
         where j.tenant_id = any(array[i.tenant_id]) and j.id = any(array[i.id]) and j.sequence = i.made_from
           and (i.send_lease is null or j.lease_token = i.send_lease)
           -- Compared, not searched with "exists": that was planned as a read of all tenants.
           and (i.poll_lease is null or i.poll_lease = (
                 select p.poll_lease_token from tenant_paces p
                  where p.tenant_id = i.tenant_id and p.poll_lease_expires_at > now()))
           and (i.reconcile_lease is null or i.reconcile_lease = (
                 select a.reconcile_lease_token from tensorpix_accounts a
                  where a.id = j.account_id and a.reconcile_lease_expires_at > now()))
           ${webhooks.length > 0 ? Prisma.empty : UNHEARD}
        returning j.id, j.tenant_id, j.account_id, j.sequence, j.updated_at, i.at_tensorpix, i.cancels, i.events
      ), event as (
        insert into job_events (job_id, sequence, tenant_id, type, data, created_at)
        select c.id, e.sequence, c.tenant_id, e.type, e.data, c.updated_at
          from changed c, json_to_recordset(c.events) as e(sequence integer, type text, data jsonb)
      ), paced as (
        update tenant_paces p set poll_due_at = ${DUE_NOW}
         where p.tenant_id = any(array(
           select f.tenant_id
             from (select tenant_id, bool_or(cancels) as cancels from changed where at_tensorpix group by tenant_id) c
             join tenant_paces f on f.tenant_id = any(array[c.tenant_id])
            where f.poll_due_at is null or (c.cancels and f.poll_due_at > now())
              -- Held by a look that ends: it sees these jobs, and TensorPix's answer must not wait for it.
              for update of f skip locked))
      )${besides.length === 0 ? Prisma.empty : Prisma.sql`, ${Prisma.join(besides)}`}
      select id, ${webhooks.length > 0 ? Prisma.sql`exists (select 1 from queued)` : Prisma.sql`false`} as queued from changed`;
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

/** What is written without its webhooks has no receiver: one that has just been added is seen here, as it would be there. */
const UNHEARD = Prisma.sql`and not ${hasStandingReceiver(Prisma.sql`i.tenant_id`, Prisma.sql`i.tells`)}`;

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
