import { toUnits } from './accounts.js';
import { DueHeap } from './due-heap.js';
import { runningProgress, SimJob, STATUS, type EndStatus, type JobParameters, type SimVideo } from './job.js';
import { findModel, type MlModel } from './ml-models.js';
import type { JobBehavior, SimulatorOptions } from './options.js';
import { unit } from './random.js';
import type { VideoBook } from './video-book.js';

const FIRST_JOB_ID = 100_001;

/**
 * Jobs of all accounts. Ends are computed from the clock: `settle` handles those that have fallen due, so that counts,
 * lists and money are right without a timer for each job and without scanning.
 */
export class JobBook {
  readonly byId = new Map<number, SimJob>();
  private readonly dueEnds = new DueHeap<SimJob>();
  private nextId = FIRST_JOB_ID;

  constructor(
    private readonly options: SimulatorOptions,
    private readonly videos: VideoBook,
  ) {}

  reset(): void {
    this.byId.clear();
    this.dueEnds.clear();
    this.nextId = FIRST_JOB_ID;
  }

  /** Creates and charges a queued job; the caller has checked parameters and credits. */
  create(input: SimVideo, parameters: JobParameters, costUnits: number, nowMs: number): SimJob {
    const { account } = input;
    const job = new SimJob(this.nextId++, input, parameters, modelsOf(parameters['ml_models']), costUnits, nowMs);
    account.charge(costUnits);
    account.activeJobs++;
    input.activeJobs++;
    job.slot = account.jobList.push(job);
    this.byId.set(job.id, job);
    this.reschedule(job, this.queueMs(job), this.durationMs(job));
    this.setBehavior(job, this.behaviorFor(input.externalUrl));
    return job;
  }

  /**
   * Sets queue time (counted from the creation) and duration. Ended jobs stay ended.
   * Throws a RangeError for what is no time, which would break the order of the heap.
   */
  reschedule(job: SimJob, queueMs: number, durationMs: number): void {
    if (!(queueMs >= 0 && durationMs >= 0))
      throw new RangeError('queue_ms and duration_ms must be numbers of at least 0');
    job.startsAtMs = job.createdAtMs + queueMs;
    job.endsAtMs = job.startsAtMs + durationMs;
    if (job.ended === null && job.endsAtMs !== Infinity) this.dueEnds.push(job.endsAtMs, job);
  }

  setBehavior(job: SimJob, behavior: JobBehavior): void {
    if (behavior === job.behavior) return;
    const wasStuck = job.behavior === 'stick' || job.behavior === 'stick_queued';
    job.behavior = behavior;
    job.retrievable = behavior !== 'vanish' && behavior !== 'vanish_to_history';
    job.history = behavior === 'vanish' ? 'never' : behavior === 'vanish_to_history' ? 'always' : 'when_ended';
    const unlisted = behavior === 'unlisted' || !job.retrievable;
    job.account.jobList.setVisible(job.slot, !unlisted);
    if (wasStuck) this.reschedule(job, this.queueMs(job), this.durationMs(job));
    if (behavior === 'stick') job.endsAtMs = Infinity;
    if (behavior === 'stick_queued') job.startsAtMs = job.endsAtMs = Infinity;
    if (job.ended !== null) this.placeEnded(job);
  }

  /** Ends every job that has fallen due. */
  settle(nowMs: number): void {
    for (let job = this.dueEnds.popDue(nowMs); job !== undefined; job = this.dueEnds.popDue(nowMs)) {
      // An entry is stale when the job was canceled, stuck or rescheduled to later after it was pushed.
      if (job.ended !== null || job.endsAtMs > nowMs) continue;
      this.end(job, job.behavior === 'fail' ? STATUS.failed : STATUS.finished, job.endsAtMs);
    }
  }

  /** Ends a running job, gives credits back as the options say and moves it where ended jobs go. */
  end(job: SimJob, status: EndStatus, atMs: number): void {
    if (job.ended !== null) return;
    const progress = status === STATUS.finished ? 1 : runningProgress(job, atMs);
    job.ended = { status, atMs, progress };
    job.account.activeJobs--;
    job.account.endedJobs++;
    job.input.activeJobs--;
    if (status === STATUS.finished) job.output = this.videos.addRestored(job, atMs);
    const share = this.refundShare(job, status, atMs);
    job.refundedUnits = Math.round(job.costUnits * share);
    job.account.refund(job.refundedUnits);
    this.placeEnded(job);
  }

  private placeEnded(job: SimJob): void {
    const place = job.behavior === 'normal' || job.behavior === 'fail' ? this.options.endedJobs : null;
    if (place === 'unlisted' || job.behavior === 'unlisted_when_ended') job.account.jobList.setVisible(job.slot, false);
    if (place !== 'history' && job.behavior !== 'vanish_when_ended') return;
    job.account.jobList.setVisible(job.slot, false);
    job.retrievable = false;
  }

  private refundShare(job: SimJob, status: EndStatus, atMs: number): number {
    if (status === STATUS.finished) return 0;
    if (status === STATUS.failed) return this.options.failRefundShare;
    return atMs < job.startsAtMs ? 1 : this.options.cancelRefundShare;
  }

  private queueMs(job: SimJob): number {
    return this.paced(job, job.account.queueMs ?? this.options.queueMs, 1);
  }

  private durationMs(job: SimJob): number {
    return this.paced(job, job.account.durationMs ?? this.options.durationMs, 2);
  }

  private paced(job: SimJob, ms: number, salt: number): number {
    const spread = 1 + this.options.jitter * (2 * unit(this.options.seed, job.id, salt) - 1);
    return ms * spread * (job.account.pace ?? this.options.pace);
  }

  private behaviorFor(url: string | null): JobBehavior {
    if (url === null) return 'normal';
    for (const [text, behavior] of this.options.behaviorPatterns) if (url.includes(text)) return behavior;
    return 'normal';
  }
}

/** Price of a job in ten-thousandths of a Credit. The real formula is not published; a preview is free. */
export function priceUnits(input: SimVideo, modelIds: unknown, preview: boolean): number {
  if (preview) return 0;
  const weights = modelsOf(modelIds).reduce((sum, entry) => sum + entry.cost_weight, 0.2);
  return toUnits((weights * input.frames) / 1_000);
}

function modelsOf(ids: unknown): MlModel[] {
  if (!Array.isArray(ids)) return [];
  return ids.map((id) => findModel(Number(id))).filter((entry) => entry !== null);
}
