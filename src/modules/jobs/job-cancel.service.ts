import { Injectable } from '@nestjs/common';
import { Problem } from '../../common/errors/problem.js';
import { Logger } from '../../common/logging/logger.js';
import { UnderWay } from '../../common/loops/under-way.js';
import type { CurrentTenant } from '../tenants/auth.guard.js';
import { TenantTokens } from '../tenants/tenant-tokens.js';
import { TensorpixClient } from '../tensorpix/tensorpix.client.js';
import { JobChangesStore } from './job-changes.store.js';
import { changeJob, type JobChange } from './job-change.js';
import { observe } from './job-observation.js';
import type { JobRecord } from './job-record.js';
import { jobPath, jobView, type JobView } from './job-resource.js';
import { isAtTensorpix, isTerminal } from './job-state.js';
import type { JobWithTime } from './job-rows.js';
import { JobsStore } from './jobs.store.js';
import { TenantPaceStore } from './polling/tenant-pace.store.js';
import { isUnknown } from './reconciliation/judgement.js';
import { DEFAULT_WAIT_MS, WaitingCaller } from './waiting-caller.js';

/** 200: canceled. 202: wanted, and not confirmed by TensorPix yet. */
export interface Canceled {
  status: 200 | 202;
  job: JobView;
}

const TRIES = 5;

/**
 * Cancels a job (contract, section 4). The wish is recorded first; then TensorPix decides what the final state is. What
 * cannot be confirmed now is asked for again at the next look. It answers as soon as a create does, whatever TensorPix does.
 */
@Injectable()
export class JobCancelService {
  private readonly underWay = new UnderWay();

  constructor(
    private readonly jobs: JobsStore,
    private readonly changes: JobChangesStore,
    private readonly tensorpix: TensorpixClient,
    private readonly tokens: TenantTokens,
    private readonly pace: TenantPaceStore,
    private readonly logger: Logger,
  ) {}

  /** @throws Problem 404, 409 `invalid_state` when the job has ended otherwise */
  async cancel(tenant: CurrentTenant, id: string): Promise<Canceled> {
    const untilMs = performance.now() + DEFAULT_WAIT_MS;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const found = await this.jobs.findRecord(tenant.id, id);
      if (!found || found.job.kind !== 'video') throw Problem.notFound('The job');
      const { job } = found;
      if (isTerminal(job.status)) return this.alreadyEnded(tenant, found);
      if (isNotAtTensorpix(job)) {
        if (await this.changes.apply(changeJob(job, { status: 'canceled' }, found.time.now())))
          return this.answer(tenant, id);
      } else if (job.cancelRequestedAt !== null || (await this.changes.apply(wish(found)))) {
        if (isAtTensorpix(job.status) && job.tensorpixId !== null)
          await this.askInTime(tenant, id, job.tensorpixId, untilMs);
        return this.answer(tenant, id);
      }
    }
    throw new Problem('unavailable', 'The job is changing too fast; try again.', { retryAfterSeconds: 1 });
  }

  /** Waits until no call is under way. */
  async drain(): Promise<void> {
    await this.underWay.drain();
  }

  /** The call goes on when the caller's time is over. */
  private async askInTime(tenant: CurrentTenant, id: string, tensorpixId: number, untilMs: number): Promise<void> {
    const caller = new WaitingCaller(false, () => true);
    let waits = true;
    const asked = this.cancelAtTensorpix(tenant, id, tensorpixId, () => waits);
    const ended = asked.catch((error: unknown) => {
      if (!waits) this.logger.error({ err: error, job_id: id }, 'what came of a cancel could not be recorded');
    });
    this.underWay.add(ended);
    waits = !(await caller.waitFor(asked, untilMs - performance.now()));
    if (waits) await asked;
  }

  private async cancelAtTensorpix(
    tenant: CurrentTenant,
    id: string,
    tensorpixId: number,
    isAwaited: () => boolean,
  ): Promise<void> {
    const token = this.tokens.open(tenant.id, tenant.tokenCiphertext ?? '');
    const outcome = await this.tensorpix.cancelJob(token.token, tensorpixId);
    if (outcome.kind === 'ok')
      return this.applyWhile(tenant, id, ({ job, time }) => changeJob(job, { status: 'canceled' }, time.now()));
    if (outcome.kind === 'refused' && outcome.refusal.reason === 'rate_limited')
      return this.pace.rest(tenant.id, outcome.refusal.retryAfterMs, { token });
    // Refused or unanswered: the job may be canceled, finished, or going on. TensorPix's own record tells, and the next look reads it.
    if (!isAwaited()) return;
    const look = await this.tensorpix.getJob(token.token, tensorpixId);
    if (look.kind !== 'ok' || look.value.id !== tensorpixId) return;
    return this.applyWhile(tenant, id, ({ job, time }) => {
      const observed = observe(job, look.value, time.now());
      return 'change' in observed ? observed.change : null;
    });
  }

  private async applyWhile(
    tenant: CurrentTenant,
    id: string,
    changeOf: (current: JobWithTime) => JobChange | null,
  ): Promise<void> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const current = await this.jobs.findRecord(tenant.id, id);
      if (!current || isTerminal(current.job.status)) return;
      const change = changeOf(current);
      if (!change || (await this.changes.apply(change))) return;
    }
  }

  private async answer(tenant: CurrentTenant, id: string): Promise<Canceled> {
    const found = await this.jobs.find(tenant.id, 'video', id);
    if (!found) throw Problem.notFound('The job');
    const job = jobView(found.job, found.callback);
    if (!isTerminal(job.status)) return { status: 202, job };
    if (job.status === 'canceled') return { status: 200, job };
    throw endedOtherwise(found.job.status, id);
  }

  private async alreadyEnded(tenant: CurrentTenant, { job }: JobWithTime): Promise<Canceled> {
    if (job.status !== 'canceled') throw endedOtherwise(job.status, job.id);
    return this.answer(tenant, job.id);
  }
}

/** Not sent yet, or looked for and not found: there is nothing to cancel there. */
function isNotAtTensorpix(job: JobRecord): boolean {
  return job.status === 'submitting' ? job.leaseToken === null : job.status === 'unconfirmed' && !isUnknown(job);
}

function wish({ job, time }: JobWithTime): JobChange {
  return changeJob(job, { cancelRequestedAt: time.now() }, time.now(), { steps: [{ name: 'cancel_requested' }] });
}

function endedOtherwise(status: string, id: string): Problem {
  return new Problem('invalid_state', `The job has already ended: it is ${status}.`, {
    job: { id, path: jobPath({ kind: 'video', id }) },
  });
}
