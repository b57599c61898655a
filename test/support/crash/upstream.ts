import { isDeepStrictEqual } from 'node:util';
import type { SimImage, SimJob } from '../../../simulator/job.js';
import type { LoggedRequest } from '../../../simulator/request-log.js';
import type { Simulator } from '../../../simulator/simulator.js';
import type { Row } from './records.js';
import { FOREIGN_MODEL, SOURCE_HOST } from './submission.js';
import type { Tenant } from './tenants.js';

/** What TensorPix really has: the truth that the gateway can only look for. */
export class Upstream {
  constructor(
    private readonly simulator: Simulator,
    private readonly tenants: readonly Tenant[],
    /** Ids of foreign jobs that look like ours. */
    private readonly twins: ReadonlySet<number>,
  ) {}

  /** Every job that a gateway made. */
  get jobs(): SimJob[] {
    return this.all.filter((job) => !this.isForeign(job));
  }

  get foreignJobs(): SimJob[] {
    return this.all.filter((job) => this.isForeign(job));
  }

  /** Those of the foreign system are left out. */
  jobsOf(url: string): SimJob[] {
    return this.jobs.filter((job) => job.input.externalUrl === url);
  }

  /** Also those of the foreign system. */
  allJobsOf(url: string): SimJob[] {
    return this.all.filter((job) => job.input.externalUrl === url);
  }

  get paidImages(): SimImage[] {
    return [...this.simulator.state.images.values()].filter(({ watermark }) => !watermark);
  }

  /** Requests for a job or an image, by the URL of the source. Those of the foreign system are left out. */
  calls(): Map<string, LoggedRequest[]> {
    const calls = new Map<string, LoggedRequest[]>();
    for (const request of this.simulator.control.requests()) {
      if (request.method !== 'POST') continue;
      const { video_url, url, ml_models } = request.body as { video_url?: string; url?: string; ml_models?: number[] };
      const source = video_url ?? url;
      if (source === undefined || ml_models?.includes(FOREIGN_MODEL)) continue;
      calls.set(source, [...(calls.get(source) ?? []), request]);
    }
    return calls;
  }

  /** Whether a job is what a row asked for: in its account, and with all that was sent. */
  isMadeFor(job: SimJob, { tenant_id, input }: Row): boolean {
    const token = this.tenants.find(({ id }) => id === tenant_id)?.token ?? '';
    if (this.simulator.state.accounts.get(token) !== job.account) return false;
    return Object.entries(input).every(([name, value]) => isDeepStrictEqual(job.parameters[name], value));
  }

  private get all(): SimJob[] {
    return [...this.simulator.state.jobs.values()];
  }

  private isForeign({ id, input, parameters }: SimJob): boolean {
    const models = parameters['ml_models'] as number[];
    const isOurSource = input.externalUrl?.startsWith(`https://${SOURCE_HOST}/`) ?? false;
    return this.twins.has(id) || models.includes(FOREIGN_MODEL) || !isOurSource;
  }
}
