import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Cursors, type Page } from '../../common/http/cursor.js';
import { DEFAULT_PAGE } from '../../common/http/page.dto.js';
import type { CurrentTenant } from '../tenants/auth.guard.js';
import { eventResource } from './event-resource.js';
import type { EventResource, EventsQuery } from './job-events.dto.js';
import { isAtTensorpix, isTerminal } from './job-state.js';
import type { JobKind } from './job-record.js';
import { jobView, type JobView } from './job-resource.js';
import { JobWatch } from './job-watch.js';
import { JobsStore, type JobStanding, type JobWithCallback } from './jobs.store.js';
import type { ListJobsQuery } from './list-jobs.query.js';
import { TenantPaceStore } from './polling/tenant-pace.store.js';

const DEFAULT_EVENTS_PAGE = 100;

/** Reads of jobs and images (contract, sections 4 and 5). */
@Injectable()
export class JobsService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly jobs: JobsStore,
    private readonly pace: TenantPaceStore,
    private readonly cursors: Cursors,
    private readonly watch: JobWatch,
  ) {}

  /**
   * @param waitSeconds holds the answer until the state changes, or so many seconds have passed; a job that has ended is answered
   *   at once
   * @throws Problem 404
   */
  async get(tenant: CurrentTenant, kind: JobKind, id: string, waitSeconds = 0): Promise<JobView> {
    const untilMs = performance.now() + waitSeconds * 1000;
    const first = await this.jobs.get(tenant.id, kind, id);
    const { status } = first.job;
    if (waitSeconds === 0 || isTerminal(status)) return toView(first);
    if (isAtTensorpix(status)) await this.pace.hurry(tenant.id, waitSeconds * 1000, this.config.pollMinIntervalMs);
    await this.watch.wait(
      { tenantId: tenant.id, id },
      { forMs: untilMs - performance.now(), isNews: (standing) => hasMoved(first.job, standing) },
    );
    return this.get(tenant, kind, id);
  }

  async list(tenant: CurrentTenant, kind: JobKind, query: ListJobsQuery): Promise<Page<JobView>> {
    const {
      limit = DEFAULT_PAGE,
      cursor,
      status = [],
      external_id: externalId,
      created_after,
      created_before,
      callback,
    } = query;
    const list = `${kind}s/${tenant.id}`;
    const filter = {
      kind,
      statuses: status,
      externalId,
      createdAfter: created_after === undefined ? undefined : new Date(created_after),
      createdBefore: created_before === undefined ? undefined : new Date(created_before),
      undelivered: callback === 'undelivered',
    };
    const found = await this.jobs.findPage(tenant.id, filter, limit + 1, this.cursors.decode(list, cursor));
    const rows = found.map((row) => ({ ...row, id: row.job.id, createdAt: row.job.createdAt }));
    return this.cursors.page(list, rows, limit, toView);
  }

  /** The history of a job, oldest first. */
  async events(
    tenant: CurrentTenant,
    kind: JobKind,
    id: string,
    { limit = DEFAULT_EVENTS_PAGE, cursor }: EventsQuery,
  ): Promise<Page<EventResource>> {
    await this.jobs.get(tenant.id, kind, id);
    const list = `events/${id}`;
    const after = Number(this.cursors.open(list, cursor) ?? 0);
    const rows = await this.jobs.findEvents(tenant.id, id, after, limit + 1);
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    return {
      data: shown.map(eventResource),
      next_cursor: rows.length > limit && last ? this.cursors.seal(list, String(last.sequence)) : null,
    };
  }
}

function hasMoved(first: JobStanding, current: JobStanding): boolean {
  const { status, statusReason } = current;
  return status !== first.status || (statusReason !== first.statusReason && !isAtTensorpix(status));
}

function toView({ job, callback }: JobWithCallback): JobView {
  return jobView(job, callback);
}
