import { formatCredits, toUnits, type SimAccount } from './accounts.js';
import { isBodyError, type BodyError, type DecodedBody } from './body.js';
import { priceUnits } from './job-book.js';
import { STATUS, STATUS_LABELS, viewJob, type SimVideo } from './job.js';
import { findModel, ML_MODELS } from './ml-models.js';
import { limitOffsetPage, numberedPage, type ListRequest } from './paging.js';
import { presign } from './presigned-urls.js';
import { detail, invalid, json, noContent, noCredits, notFound, storageFull, type Reply } from './replies.js';
import {
  isReady,
  renderCreatedJob,
  renderJob,
  renderRestoredVideo,
  renderVideo,
  type RenderContext,
} from './resources.js';
import { CREATE_JOB_RULES, ENHANCE_IMAGE_RULES, ENHANCE_VIDEO_RULES, validate, type FieldRules } from './validation.js';

/** An authenticated request; `id` is NaN where the path has none. */
export interface ApiCall extends RenderContext, ListRequest {
  account: SimAccount;
  id: number;
  body: DecodedBody | BodyError;
}

export type Operation = (call: ApiCall) => Reply;

const UNSUPPORTED_HOSTS = /^(?:[^/]*\.)?(?:youtube\.com|youtu\.be|instagram\.com|vimeo\.com|tiktok\.com)(?::\d+)?$/i;
const DAY_MS = 86_400_000;

/** Operations by route and method; the routes are those of `route.ts`. */
export const OPERATIONS: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  'jobs/from-url': { POST: enhanceVideoFromUrl },
  'images/enhance/from-url': { POST: enhanceImageFromUrl },
  jobs: { GET: listJobs, POST: createJob },
  'jobs/:id': { GET: getJob, DELETE: cancelJob },
  'jobs/history/:id': { GET: getHistoryJob },
  'restored-videos': { GET: listRestoredVideos },
  'restored-videos/:id': { GET: getRestoredVideo, DELETE: deleteRestoredVideo },
  videos: { GET: listVideos, POST: uploadVideo },
  'videos/:id': { GET: getVideo, DELETE: deleteVideo },
  'ml-models': { GET: listModels },
  'accounts/profile/balance': { GET: getBalance },
};

function enhanceVideoFromUrl(call: ApiCall): Reply {
  const input = checkBody(call, ENHANCE_VIDEO_RULES);
  if ('refusal' in input) return input.refusal;
  const url = String(input.values['video_url']);
  const { options, videoBook } = call.state;
  if (isUnsupported(url)) return invalid({ video_url: ['This video hosting platform is not supported.'] });
  if (options.notVideoPattern.test(url)) return invalid({ video_url: ['The URL could not be parsed as a video.'] });
  return startJob(call, input.values, () => videoBook.addExternal(call.account, url, call.nowMs));
}

function createJob(call: ApiCall): Reply {
  const input = checkBody(call, CREATE_JOB_RULES);
  if ('refusal' in input) return input.refusal;
  const id = Number(input.values['input_video']);
  const video = call.state.videoBook.inputs.get(id);
  if (video === undefined || video.account !== call.account) {
    return invalid({ input_video: [`Invalid pk "${id}" - object does not exist.`] });
  }
  if (!isReady(video, call.state, call.nowMs)) return invalid({ input_video: ['The video is not ready yet.'] });
  return startJob(call, input.values, () => video);
}

/** The checks both creations share, then the job. The input video is made last, so that a refusal leaves nothing behind. */
function startJob(call: ApiCall, values: Record<string, unknown>, inputVideo: () => SimVideo): Reply {
  const refusal = checkModels(values['ml_models']);
  if (refusal !== null) return refusal;
  if (call.account.isStorageFull) return storageFull();
  const video = inputVideo();
  const costUnits = priceUnits(video, values['ml_models'], values['preview'] === true);
  if (!call.account.canPay(costUnits)) {
    if (video.externalUrl !== null && video.activeJobs === 0) call.state.videoBook.remove(video);
    return noCredits(call.state.options.noCreditsStatus);
  }
  call.account.jobsCreated++;
  return json(201, renderCreatedJob(call.state.jobBook.create(video, values, costUnits, call.nowMs)));
}

function checkModels(ids: unknown): Reply | null {
  const tasks = new Set<number>();
  for (const id of Array.isArray(ids) ? ids : []) {
    const model = findModel(Number(id));
    if (model === null) return invalid({ ml_models: [`Invalid pk "${id}" - object does not exist.`] });
    if (tasks.has(model.task)) return invalid({}, ['At most one ML model per task group can be selected.']);
    tasks.add(model.task);
  }
  return null;
}

function enhanceImageFromUrl(call: ApiCall): Reply {
  const input = checkBody(call, ENHANCE_IMAGE_RULES);
  if ('refusal' in input) return input.refusal;
  const { values } = input;
  const url = String(values['url']);
  const { state, account, nowMs } = call;
  if (isUnsupported(url) || state.options.notImagePattern.test(url)) {
    return invalid({ url: ['The URL could not be parsed as an image.'] });
  }
  const watermark = values['watermark'] === true;
  if (watermark && !takeWatermarked(call)) return invalid({}, ['Daily limit of watermarked images reached.']);
  const costUnits = watermark ? 0 : toUnits(state.options.imageCost);
  if (!account.canPay(costUnits)) return noCredits(state.options.noCreditsStatus);
  account.charge(costUnits);
  account.imagesCreated++;
  const format = String(values['output_format']);
  const enhancementType = String(values['enhancement_type']);
  const image = state.addImage({ account, url, format, enhancementType, watermark, createdAtMs: nowMs });
  const enhancedUrl = presign(state, call.base, 'images', image.id, nowMs, format);
  return json(201, { enhanced_url: enhancedUrl, enhanced_img_id: image.id });
}

/** Counts against the daily limit of free images; false when it is used up. */
function takeWatermarked(call: ApiCall): boolean {
  const limit = call.state.options.watermarkedImagesPerDay ?? Infinity;
  const day = Math.floor(call.nowMs / DAY_MS);
  const used = call.account.watermarkedToday;
  const count = used.day === day ? used.count : 0;
  if (count >= limit) return false;
  call.account.watermarkedToday = { day, count: count + 1 };
  return true;
}

function listJobs(call: ApiCall): Reply {
  return json(
    200,
    limitOffsetPage(call.account.jobList, call, call.state.options, (job) => renderJob(job, call)),
  );
}

function getJob(call: ApiCall): Reply {
  const job = own(call.state.jobBook.byId, call);
  return job === null || !job.retrievable ? notFound() : json(200, renderJob(job, call));
}

/** 409 when already canceled; 500 when it could not be canceled, as for one that has ended otherwise. */
function cancelJob(call: ApiCall): Reply {
  const job = own(call.state.jobBook.byId, call);
  if (job === null || !job.retrievable) return notFound();
  const { status } = viewJob(job, call.nowMs, call.state.options.seed);
  if (status === STATUS.canceled) return detail(409, 'Job is already canceled.');
  if (job.ended !== null || !job.cancellable) return detail(500, 'Job could not be canceled.');
  call.state.jobBook.end(job, STATUS.canceled, call.nowMs);
  return noContent();
}

function getHistoryJob(call: ApiCall): Reply {
  const job = own(call.state.jobBook.byId, call);
  if (job === null || job.history === 'never' || (job.history === 'when_ended' && job.ended === null))
    return notFound();
  const { status } = viewJob(job, call.nowMs, call.state.options.seed);
  const label = call.state.options.historyStatus === 'label' ? STATUS_LABELS.get(status) : undefined;
  return json(200, { id: job.id, status: label ?? String(status) });
}

/** The thing with the path's id, if it belongs to the caller's account. */
function own<T extends { account: SimAccount }>(things: ReadonlyMap<number, T>, call: ApiCall): T | null {
  const thing = things.get(call.id);
  return thing === undefined || thing.account !== call.account ? null : thing;
}

function listRestoredVideos(call: ApiCall): Reply {
  const { restoredList } = call.account;
  return json(
    200,
    limitOffsetPage(restoredList, call, call.state.options, (video) => renderRestoredVideo(video, call)),
  );
}

function getRestoredVideo(call: ApiCall): Reply {
  const video = own(call.state.videoBook.restored, call);
  return video === null ? notFound() : json(200, renderRestoredVideo(video, call));
}

function deleteRestoredVideo(call: ApiCall): Reply {
  const video = own(call.state.videoBook.restored, call);
  if (video === null) return notFound();
  call.state.videoBook.removeRestored(video, call.nowMs);
  return noContent();
}

function listVideos(call: ApiCall): Reply {
  const { videoList } = call.account;
  return json(
    200,
    limitOffsetPage(videoList, call, call.state.options, (video) => renderVideo(video, call)),
  );
}

function getVideo(call: ApiCall): Reply {
  const video = own(call.state.videoBook.inputs, call);
  return video === null ? notFound() : json(200, renderVideo(video, call));
}

function deleteVideo(call: ApiCall): Reply {
  const video = own(call.state.videoBook.inputs, call);
  if (video === null) return notFound();
  if (video.activeJobs > 0) return detail(409, 'The video is used by an active job.');
  call.state.videoBook.remove(video);
  return noContent();
}

function uploadVideo(call: ApiCall): Reply {
  if (isBodyError(call.body)) return bodyRefusal(call.body);
  const file = call.body.files['file'];
  if (file === undefined) return invalid({ file: ['No file was submitted.'] });
  if (file.sizeBytes === 0) return invalid({ file: ['The submitted file is empty.'] });
  if (call.account.isStorageFull) return storageFull();
  const video = call.state.videoBook.addUpload(call.account, file.name, file.sizeBytes, call.nowMs);
  return json(201, renderVideo(video, call));
}

function listModels(call: ApiCall): Reply {
  const page = numberedPage(ML_MODELS, call, call.state.options);
  return page === null ? detail(404, 'Invalid page.') : json(200, page);
}

function getBalance(call: ApiCall): Reply {
  return json(200, { balance_usd: formatCredits(call.account.creditUnits) });
}

function checkBody(call: ApiCall, rules: FieldRules): { values: Record<string, unknown> } | { refusal: Reply } {
  if (isBodyError(call.body)) return { refusal: bodyRefusal(call.body) };
  const { values, errors } = validate(rules, call.body);
  return Object.keys(errors).length > 0 ? { refusal: invalid(errors) } : { values };
}

function bodyRefusal(body: BodyError): Reply {
  if (body.error === 'not_an_object') return invalid({}, [body.text]);
  return detail(body.error === 'unsupported' ? 415 : 400, body.text);
}

function isUnsupported(url: string): boolean {
  const authority = url.slice(url.indexOf('://') + 3).split(/[/?#]/, 1)[0] ?? '';
  return UNSUPPORTED_HOSTS.test(authority.slice(authority.lastIndexOf('@') + 1));
}
