import { isId, isUrl, readCredits, readDate, readNumber, readText, record } from './answer-values.js';

/**
 * TensorPix's answers, read tolerantly: a field that is missing or of a strange type is null, an unknown status is
 * null (which means "has not ended"), and only an answer without what it was asked for is unusable (null).
 */

/** `status` of a job: 0 in queue, 1 processing, 2 finished, -1 failed, -2 canceled. */
export type UpstreamStatus = 'queued' | 'processing' | 'finished' | 'failed' | 'canceled';

/**
 * By its number, or, as the history has it, by a word; the words are not published, so every likely one is known here.
 */
const STATUSES = new Map<string, UpstreamStatus>([
  ...spell('queued', '0', 'in queue', 'queued', 'pending'),
  ...spell('processing', '1', 'processing', 'started'),
  ...spell('finished', '2', 'finished', 'completed', 'done', 'success'),
  ...spell('failed', '-1', 'failed', 'error', 'failure'),
  ...spell('canceled', '-2', 'canceled', 'cancelled'),
]);

function spell(status: UpstreamStatus, ...spellings: string[]): [string, UpstreamStatus][] {
  return spellings.map((spelling) => [spelling, status]);
}

/** Result of an enhancement, ready to be fetched while its URL lasts. */
export interface UpstreamVideo {
  id: number;
  url: string;
  width: number | null;
  height: number | null;
  sizeBytes: number | null;
  thumbnailUrl: string | null;
}

/** A job as TensorPix shows it at one moment. */
export interface UpstreamJob {
  id: number;
  status: UpstreamStatus | null;
  /** 0 to 1 */
  progress: number | null;
  etaSeconds: number | null;
  /** Decimal text; TensorPix names it `cost_usd` and means Credits. */
  costCredits: string | null;
  /** Null until finished, and for a moment afterwards. */
  output: UpstreamVideo | null;
}

/** What a job shows of the request that made it: less than was sent. Null or absent: not shown. */
export interface ShownRequest {
  externalUrl: string | null;
  /** id of the input video, in the list of uploads */
  inputVideoId: number | null;
  modelIds: number[] | null;
  /** Of the other fields those that have the names of the request's. */
  fields: Record<string, unknown>;
}

/** A job with what tells whose it could be. */
export interface ShownJob extends UpstreamJob {
  /** by TensorPix's clock */
  started: Date | null;
  shown: ShownRequest;
}

/** A page of a list. `entries` counts all of its entries, `items` has the readable ones. */
export interface UpstreamPage<T> {
  /** null when TensorPix gave none */
  count: number | null;
  hasNext: boolean;
  entries: number;
  items: T[];
}

/** An input video as the list of uploads has it. */
export interface InputVideo {
  id: number;
  externalUrl: string | null;
  created: Date | null;
}

/** An enhanced video as the list of results has it. */
export interface EnhancedVideo {
  id: number;
  jobId: number | null;
  created: Date | null;
}

export interface CreatedJob {
  id: number;
  status: UpstreamStatus;
  costCredits: string | null;
}

export interface EnhancedImage {
  id: string;
  url: string;
}

/** The answer to a create (`EnhanceJobResponse`); null without an id, which is all that must be there. */
export function readCreatedJob(json: unknown): CreatedJob | null {
  const { id, status, cost_usd } = record(json);
  if (!isId(id)) return null;
  return { id, status: readStatus(status) ?? 'queued', costCredits: readCredits(cost_usd) };
}

/** What is followed of a job (`Job`, `HistoryJob`); null without an id. */
export function readJob(json: unknown): UpstreamJob | null {
  const job = record(json);
  if (!isId(job.id)) return null;
  return {
    id: job.id,
    status: readStatus(job.status),
    progress: readNumber(job.processing_progress, 0, 1),
    etaSeconds: readNumber(job.eta_s, 0, 30 * 86_400),
    costCredits: readCredits(job.cost_usd),
    output: readVideo(job.output_video),
  };
}

const SHOWN_FIELDS = [
  'preview',
  'grain',
  'codec',
  'output_resolution',
  'comparison',
  'stabilization_smoothing',
] as const;

/** A job with what it shows of the request that made it; null without an id. */
export function readShownJob(json: unknown): ShownJob | null {
  const job = readJob(json);
  if (job === null) return null;
  const shown = record(json);
  const video = record(shown.input_video);
  const fields = Object.fromEntries(SHOWN_FIELDS.map((name) => [name, shown[name] ?? null]));
  const request = {
    externalUrl: readText(video.external_url),
    inputVideoId: isId(video.id) ? video.id : null,
    modelIds: readModelIds(shown.ml_models),
    fields,
  };
  return { ...job, started: readDate(shown.started), shown: request };
}

/** A page of `GET /api/jobs/`. */
export function readJobPage(json: unknown): UpstreamPage<ShownJob> | null {
  return readPage(json, readShownJob);
}

/** A page of `GET /api/videos/`. */
export function readInputVideoPage(json: unknown): UpstreamPage<InputVideo> | null {
  return readPage(json, (entry) => {
    const { id, external_url, created_at } = record(entry);
    return isId(id) ? { id, externalUrl: readText(external_url), created: readDate(created_at) } : null;
  });
}

/** A page of `GET /api/restored-videos/`. */
export function readEnhancedVideoPage(json: unknown): UpstreamPage<EnhancedVideo> | null {
  return readPage(json, (entry) => {
    const { id, job_id, created_at } = record(entry);
    return isId(id) ? { id, jobId: isId(job_id) ? job_id : null, created: readDate(created_at) } : null;
  });
}

function readPage<T>(json: unknown, read: (entry: unknown) => T | null): UpstreamPage<T> | null {
  const { count, next, results } = record(json);
  if (!Array.isArray(results)) return null;
  return {
    count: typeof count === 'number' && Number.isSafeInteger(count) ? count : null,
    hasNext: typeof next === 'string',
    entries: results.length,
    items: results.map(read).filter((item) => item !== null),
  };
}

/** Models come as objects with an id, or as ids. Null when one cannot be read: then nothing is known of the set. */
function readModelIds(value: unknown): number[] | null {
  if (!Array.isArray(value)) return null;
  const ids = value.map((model: unknown) => (typeof model === 'number' ? model : record(model).id));
  return ids.every((id) => typeof id === 'number') ? ids : null;
}

/** The answer to an image (`EnhancedImageUrl`); null without its id or a URL. */
export function readEnhancedImage(json: unknown): EnhancedImage | null {
  const { enhanced_img_id, enhanced_url } = record(json);
  const id = typeof enhanced_img_id === 'number' ? String(enhanced_img_id) : enhanced_img_id;
  if (typeof id !== 'string' || id === '' || id.length > 200 || !isUrl(enhanced_url)) return null;
  return { id, url: enhanced_url };
}

/** Credits left, as decimal text. */
export function readBalance(json: unknown): string | null {
  return readCredits(record(json).balance_usd);
}

/** TensorPix's number or, in the history, its word; null for one that is not known. */
export function readStatus(value: unknown): UpstreamStatus | null {
  if (typeof value !== 'number' && typeof value !== 'string') return null;
  return STATUSES.get(String(value).toLowerCase()) ?? null;
}

function readVideo(value: unknown): UpstreamVideo | null {
  const video = record(value);
  if (!isId(video.id) || !isUrl(video.file)) return null;
  return {
    id: video.id,
    url: video.file,
    width: readNumber(video.width, 0, 1e6),
    height: readNumber(video.height, 0, 1e6),
    sizeBytes: readNumber(video.size, 0, Number.MAX_SAFE_INTEGER),
    thumbnailUrl: isUrl(video.thumbnail) ? video.thumbnail : null,
  };
}
