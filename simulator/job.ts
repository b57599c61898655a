import type { SimAccount } from './accounts.js';
import type { MlModel } from './ml-models.js';
import type { JobBehavior } from './options.js';
import { unit } from './random.js';

/** StatusEnum of the documents. */
export const STATUS = { queued: 0, processing: 1, finished: 2, failed: -1, canceled: -2 } as const;
export type EndStatus = typeof STATUS.finished | typeof STATUS.failed | typeof STATUS.canceled;

export const STATUS_LABELS: ReadonlyMap<number, string> = new Map([
  [0, 'In Queue'],
  [1, 'Processing'],
  [2, 'Finished'],
  [-1, 'Failed'],
  [-2, 'Canceled'],
]);

/** An input video: uploaded, or known by its URL. */
export interface SimVideo {
  readonly id: number;
  readonly account: SimAccount;
  readonly name: string;
  readonly externalUrl: string | null;
  readonly createdAtMs: number;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly framerate: number;
  readonly sizeBytes: number;
  activeJobs: number;
  deleted: boolean;
  slot: number;
}

/** An enhanced (output) video; its ids are of another space than those of input videos. */
export interface SimRestoredVideo {
  readonly id: number;
  readonly account: SimAccount;
  readonly job: SimJob;
  readonly createdAtMs: number;
  readonly sizeBytes: number;
  deletedAtMs: number | null;
  slot: number;
}

/** An enhanced image. TensorPix keeps no job for it. */
export interface SimImage {
  readonly id: string;
  readonly account: SimAccount;
  readonly url: string;
  readonly format: string;
  readonly enhancementType: string;
  readonly watermark: boolean;
  readonly createdAtMs: number;
}

/** Parameters of a job as validated, by their API names. */
export type JobParameters = Readonly<Record<string, unknown>>;

export class SimJob {
  readonly account: SimAccount;
  readonly preview: boolean;
  refundedUnits = 0;
  behavior: JobBehavior = 'normal';
  startsAtMs: number;
  /** When it will end by itself; Infinity if never. */
  endsAtMs: number;
  ended: { status: EndStatus; atMs: number; progress: number } | null = null;
  output: SimRestoredVideo | null = null;
  slot = 0;
  retrievable = true;
  history: 'when_ended' | 'always' | 'never' = 'when_ended';
  cancellable = true;
  /** What the control API pinned; null: as the clock says. */
  shownStatus: number | null = null;
  shownProgress: number | null = null;
  /** `missing`: output_video null; `no_file`: its file null; null: as the clock says. */
  shownOutput: 'missing' | 'no_file' | null = null;

  constructor(
    readonly id: number,
    readonly input: SimVideo,
    readonly parameters: JobParameters,
    readonly models: readonly MlModel[],
    readonly costUnits: number,
    readonly createdAtMs: number,
  ) {
    this.account = input.account;
    this.preview = parameters['preview'] === true;
    this.startsAtMs = this.endsAtMs = createdAtMs;
  }
}

/** What an observer sees of a job at a moment. */
export interface JobView {
  status: number;
  progress: number;
  etaS: number;
}

/** Status, progress (0 to 1) and the fluctuating estimate; the caller has settled the ends up to `nowMs`. */
export function viewJob(job: SimJob, nowMs: number, seed: number): JobView {
  const status = job.shownStatus ?? job.ended?.status ?? (nowMs < job.startsAtMs ? STATUS.queued : STATUS.processing);
  const progress = job.shownProgress ?? job.ended?.progress ?? runningProgress(job, nowMs);
  if (status !== STATUS.queued && status !== STATUS.processing) return { status, progress, etaS: 0 };
  const remainingS = Math.max(1, (job.endsAtMs === Infinity ? 60_000 : job.endsAtMs - nowMs) / 1_000);
  const wobble = 0.8 + 0.4 * unit(seed, job.id, Math.floor((nowMs - job.createdAtMs) / 1_000));
  return { status, progress, etaS: Math.round(remainingS * wobble * 10) / 10 };
}

/** Share of the processing time that has passed, with four places, below 1 while the job runs. */
export function runningProgress(job: SimJob, nowMs: number): number {
  if (nowMs <= job.startsAtMs) return 0;
  if (job.endsAtMs === Infinity) return 0.5;
  const share = (nowMs - job.startsAtMs) / Math.max(1, job.endsAtMs - job.startsAtMs);
  return Math.min(0.9999, Math.round(share * 10_000) / 10_000);
}
