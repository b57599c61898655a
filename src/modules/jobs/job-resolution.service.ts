import { Injectable } from '@nestjs/common';
import { Problem, type ProblemOptions } from '../../common/errors/problem.js';
import { Logger } from '../../common/logging/logger.js';
import { isUniqueViolation } from '../../common/prisma/database-errors.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { TenantTokens } from '../tenants/tenant-tokens.js';
import { isRefusedFor } from '../tensorpix/call-outcome.js';
import { lookUpJob } from '../tensorpix/job-lookup.js';
import { TensorpixClient } from '../tensorpix/tensorpix.client.js';
import { JobChangesStore } from './job-changes.store.js';
import { changeJob, type JobChange } from './job-change.js';
import type { ResolveJobDto } from './job-resolution.dto.js';
import type { JobRecord } from './job-record.js';
import { jobPath, jobView, type JobView } from './job-resource.js';
import type { JobWithTime } from './job-rows.js';
import { JobsStore } from './jobs.store.js';
import { bind, resubmit } from './reconciliation/verdict-change.js';

interface UpstreamIdentity {
  id: number;
  costCredits: string | null;
}

/** A person decides what became of a job of unknown outcome (contract, section 4). */
@Injectable()
export class JobResolutionService {
  constructor(
    private readonly jobs: JobsStore,
    private readonly changes: JobChangesStore,
    private readonly tensorpix: TensorpixClient,
    private readonly tokens: TenantTokens,
    private readonly wakeUps: WakeUps,
    private readonly logger: Logger,
  ) {}

  /** @throws Problem 400 (`tensorpix_id`), 404, 409 when the job is not unconfirmed, or another job owns the id */
  async resolve(tenantId: string, jobId: string, { decision, tensorpix_id }: ResolveJobDto): Promise<JobView> {
    if ((decision === 'adopt') !== (tensorpix_id !== undefined && tensorpix_id !== null))
      throw Problem.invalid({ tensorpix_id: [decision === 'adopt' ? 'is required' : 'is allowed with "adopt" only'] });
    const found = await this.mustBeUnknown(tenantId, jobId);
    const identity = tensorpix_id ? await this.identify(found.job, tensorpix_id) : null;
    const change = changeOf(found, decision, identity);
    if (!(await this.write(change)))
      throw new Problem('invalid_state', 'The job has just changed; read it again.', about(found.job));
    this.logger.warn({ tenant_id: tenantId, job_id: jobId, decision, tensorpix_id }, 'a person resolved a job');
    if (decision === 'resubmit') this.wakeUps.ring('submissions');
    const resolved = await this.jobs.find(tenantId, found.job.kind, jobId);
    if (!resolved) throw Problem.notFound('The job');
    return jobView(resolved.job, resolved.callback);
  }

  private async mustBeUnknown(tenantId: string, jobId: string): Promise<JobWithTime> {
    const found = await this.jobs.findRecord(tenantId, jobId);
    if (!found) throw Problem.notFound('The job');
    const { job } = found;
    if (job.status === 'unconfirmed') return found;
    const detail = `Only an unconfirmed job can be resolved; this one is ${job.status}.`;
    throw new Problem('invalid_state', detail, about(job));
  }

  /** The tenant's own token must see the job: an id of another account would be somebody else's video. */
  private async identify(job: JobRecord, tensorpixId: number): Promise<UpstreamIdentity> {
    const { tenantId } = job;
    const ciphertext = await this.tokens.ciphertextOf(tenantId);
    if (ciphertext === null) throw new Problem('invalid_state', 'The tenant has no token to look with.', about(job));
    const { token } = this.tokens.open(tenantId, ciphertext);
    const look = await lookUpJob(this.tensorpix, token, tensorpixId);
    if (look.kind === 'ok' && look.value.id === tensorpixId) return look.value;
    if (isRefusedFor(look, 'not_found'))
      throw Problem.invalid({ tensorpix_id: ['is not a job of this account'] }, [], about(job));
    throw new Problem('upstream_error', 'TensorPix could not show the job; try again.', about(job));
  }

  private async write(change: JobChange): Promise<boolean> {
    try {
      return await this.changes.apply(change);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new Problem('invalid_state', 'Another job owns this tensorpix_id.', about(change.before));
    }
  }
}

/** A problem about a job that has a row says which (contract, section 2). */
function about(job: JobRecord): ProblemOptions {
  return { job: { id: job.id, path: jobPath(job) } };
}

function changeOf(
  { job, time }: JobWithTime,
  decision: ResolveJobDto['decision'],
  identity: UpstreamIdentity | null,
): JobChange {
  const now = time.now();
  const steps = [{ name: 'resolved', data: { decision, ...(identity && { tensorpix_id: identity.id }) } }];
  if (identity) return bind(job, identity, now, steps);
  // Whoever asked for "nothing is repeated" is overruled by whoever asks for it now.
  if (decision === 'resubmit') return resubmit(job, now, steps);
  const error = {
    code: 'outcome_unknown',
    detail: 'Whether TensorPix made this job was not found out; it was given up.',
  };
  return changeJob(job, { status: 'failed', error }, now, { steps, data: { code: error.code } });
}
