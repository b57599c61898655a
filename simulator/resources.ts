import { formatCredits } from './accounts.js';
import { STATUS, viewJob, type SimJob, type SimRestoredVideo, type SimVideo } from './job.js';
import { presign } from './presigned-urls.js';
import type { SimulatorState } from './state.js';

/** What turns state into answers: the base of absolute URLs and the present. */
export interface RenderContext {
  state: SimulatorState;
  /** Without a trailing slash. */
  base: string;
  nowMs: number;
}

const CODEC_FIELDS = {
  bitrate: 4_000_000,
  codec_id: 'h264',
  bit_depth: 8,
  chroma_subsampling: 'yuv420p',
  color_space: 'bt709',
};

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** `Video` of the OpenAPI file. `file` is null for external videos, and for uploads that are not ready. */
export function renderVideo(video: SimVideo, context: RenderContext): unknown {
  const { state, base, nowMs } = context;
  const ready = isReady(video, state, nowMs);
  return {
    id: video.id,
    name: video.name,
    width: video.width,
    height: video.height,
    created_at: iso(video.createdAtMs),
    n_frames: video.frames,
    framerate: video.framerate,
    size: video.sizeBytes,
    file: ready && video.externalUrl === null ? presign(state, base, 'inputs', video.id, nowMs, 'mp4') : null,
    owner: video.account.email,
    thumbnail: ready && !video.deleted ? presign(state, base, 'thumbnails', video.id, nowMs, 'jpg') : null,
    external_url: video.externalUrl,
    ...CODEC_FIELDS,
  };
}

/** An upload is usable once its `file` is set. */
export function isReady(video: SimVideo, state: SimulatorState, nowMs: number): boolean {
  if (video.deleted) return false;
  return video.externalUrl !== null || nowMs >= video.createdAtMs + state.options.uploadReadyMs;
}

/** `RestoredVideo` of the OpenAPI file, with a fresh URL at each call. */
export function renderRestoredVideo(restored: SimRestoredVideo, context: RenderContext): unknown {
  const { state, base, nowMs } = context;
  const { job } = restored;
  const scale = Math.max(1, ...job.models.map((model) => model.upscale_factor));
  const boost = Math.max(1, ...job.models.map((model) => model.fps_boost_factor));
  const container = typeof job.parameters['container'] === 'string' ? job.parameters['container'] : 'mp4';
  const delayed = nowMs < restored.createdAtMs + state.options.outputFileDelayMs || job.shownOutput === 'no_file';
  const hasFile = restored.deletedAtMs === null && !delayed;
  return {
    id: restored.id,
    job_id: job.id,
    name: `enhanced-${job.input.name}`,
    created_at: iso(restored.createdAtMs),
    framerate: job.input.framerate * boost,
    n_frames: job.input.frames * boost,
    ...CODEC_FIELDS,
    size: restored.sizeBytes,
    file: hasFile ? presign(state, base, 'outputs', restored.id, nowMs, container) : null,
    thumbnail: null,
    deleted: restored.deletedAtMs === null ? null : iso(restored.deletedAtMs),
    width: Math.min(8_192, job.input.width * scale),
    height: Math.min(8_192, job.input.height * scale),
    owner: restored.account.id,
  };
}

/** `Job` of the OpenAPI file. */
export function renderJob(job: SimJob, context: RenderContext): unknown {
  const view = viewJob(job, context.nowMs, context.state.options.seed);
  const { parameters } = job;
  return {
    id: job.id,
    started: iso(job.createdAtMs),
    finished: job.ended === null ? null : iso(job.ended.atMs),
    preview: job.preview,
    description: job.models.map((model) => model.name).join(', '),
    cost_usd: formatCredits(job.costUnits),
    status: view.status,
    eta_s: view.etaS,
    processing_progress: view.progress,
    input_video: renderVideo(job.input, context),
    output_video: renderOutput(job, view.status, context),
    ml_models: job.models,
    grain: parameters['grain'] ?? 0,
    codec: parameters['codec'] ?? 'libx264',
    output_resolution: parameters['output_resolution'] ?? -1,
    comparison: parameters['comparison'] ?? false,
    stabilization_smoothing: parameters['stabilization_smoothing'] ?? 10,
  };
}

function renderOutput(job: SimJob, status: number, context: RenderContext): unknown {
  if (job.output === null || job.ended === null || status !== STATUS.finished) return null;
  const delayed = context.nowMs < job.ended.atMs + context.state.options.outputDelayMs;
  return delayed || job.shownOutput === 'missing' ? null : renderRestoredVideo(job.output, context);
}

/** `EnhanceJobResponse`: what a creation answers. */
export function renderCreatedJob(job: SimJob): unknown {
  return { id: job.id, cost_usd: formatCredits(job.costUnits), input_video: job.input.id, status: STATUS.queued };
}
