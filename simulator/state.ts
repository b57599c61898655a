import { AccountBook, type SimAccount } from './accounts.js';
import { SimulatorClock } from './clock.js';
import { JobBook } from './job-book.js';
import { viewJob, type JobView, type SimImage, type SimJob } from './job.js';
import type { SimulatorOptions } from './options.js';
import { RequestLog, type LoggedRequest } from './request-log.js';
import { VideoBook } from './video-book.js';

/** Everything the simulator knows; tests may read it directly. */
export class SimulatorState {
  readonly clock: SimulatorClock;
  readonly accountBook: AccountBook;
  readonly videoBook: VideoBook;
  readonly jobBook: JobBook;
  /** By id, in order of creation. */
  readonly images = new Map<string, SimImage>();
  readonly requestLog: RequestLog;
  private nextImage = 1;
  private lastUrl = 0;

  constructor(readonly options: SimulatorOptions) {
    this.clock = new SimulatorClock(options.frozenClock);
    this.accountBook = new AccountBook(options);
    this.videoBook = new VideoBook(options.seed);
    this.jobBook = new JobBook(options, this.videoBook);
    this.requestLog = new RequestLog(options.requestLogSize);
  }

  /** By token; two tokens may lead to one account. */
  get accounts(): ReadonlyMap<string, SimAccount> {
    return this.accountBook.byToken;
  }

  /** By id, in order of creation. */
  get jobs(): ReadonlyMap<number, SimJob> {
    this.settledNowMs();
    return this.jobBook.byId;
  }

  /** Received API and file requests, oldest first. */
  get requests(): LoggedRequest[] {
    return this.requestLog.all();
  }

  /** Status, progress and estimate of a job right now; throws if there is no such job. */
  view(id: number): JobView {
    const job = this.jobs.get(id);
    if (job === undefined) throw new RangeError(`no job ${id}`);
    return viewJob(job, this.clock.nowMs(), this.options.seed);
  }

  /** The present in epoch milliseconds, after ending the jobs that have fallen due. */
  settledNowMs(): number {
    const nowMs = this.clock.nowMs();
    this.jobBook.settle(nowMs);
    return nowMs;
  }

  /** Makes each presigned URL another one. */
  nextUrlNumber(): number {
    return ++this.lastUrl;
  }

  addImage(image: Omit<SimImage, 'id'>): SimImage {
    const created = { id: `img-${String(this.nextImage++).padStart(8, '0')}`, ...image };
    this.images.set(created.id, created);
    return created;
  }

  /** Back to the start: accounts as in the options, no jobs, the clock on real time. */
  reset(): void {
    this.clock.reset();
    this.accountBook.reset();
    this.videoBook.reset();
    this.jobBook.reset();
    this.images.clear();
    this.nextImage = 1;
    this.lastUrl = 0;
    this.requestLog.clear();
  }
}
