import type { GatewayClient, JobResource } from './gateway-client.js';
import type { DemoOptions } from './options.js';

export type Kind = 'video' | 'image';

/** What is sent to the gateway. */
export interface SubmissionRequest {
  kind: Kind;
  path: '/v1/jobs' | '/v1/images';
  sourceUrl: string;
  body: { external_id: string } & Record<string, unknown>;
}

/** A request and what has become of it. */
export interface Submission extends SubmissionRequest {
  /** Of the answer to the request. */
  httpStatus: number;
  job: JobResource;
}

const ENDED = ['finished', 'failed', 'canceled'];

export function hasEnded({ job }: Submission): boolean {
  return ENDED.includes(job.status);
}

/** A video for `POST /v1/jobs`. `free`: short and with a watermark, at no cost. */
export function videoRequest(
  { videoUrl }: DemoOptions,
  model: number,
  callbackUrl: string,
  free: boolean,
): SubmissionRequest {
  const body = {
    video_url: videoUrl,
    ml_models: [model],
    ...(free && { preview: true }),
    callback_url: callbackUrl,
    external_id: 'demo-video',
    metadata: { source: 'npm run demo' },
  };
  return { kind: 'video', path: '/v1/jobs', sourceUrl: videoUrl, body };
}

/** An image for `POST /v1/images`. `free`: with a watermark, at no cost. */
export function imageRequest({ imageUrl }: DemoOptions, callbackUrl: string, free: boolean): SubmissionRequest {
  const body = {
    url: imageUrl,
    enhancement_type: 'sr2x',
    face_enhance: false,
    output_format: 'png',
    watermark: free,
    callback_url: callbackUrl,
    external_id: 'demo-image',
    metadata: { source: 'npm run demo' },
  };
  return { kind: 'image', path: '/v1/images', sourceUrl: imageUrl, body };
}

/** @throws DemoError when the gateway refuses */
export async function submit(client: GatewayClient, request: SubmissionRequest): Promise<Submission> {
  const { status, body } = await client.post<JobResource>(request.path, request.body);
  return { ...request, httpStatus: status, job: body };
}

/** Reads the resource again, unless nothing can change any more. */
export async function refresh(client: GatewayClient, submission: Submission): Promise<void> {
  if (hasEnded(submission)) return;
  submission.job = await client.get<JobResource>(`${submission.path}/${submission.job.id}`);
}

/** A URL without its query, which may hold a signature that gives access. */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, '');
}

/** The same video once more, as a command for a shell. */
export function curlCommand(baseUrl: string, key: string, { path, body }: SubmissionRequest): string {
  const { metadata: _, ...rest } = body;
  const json = JSON.stringify({ ...rest, external_id: 'another-video' });
  return [
    `curl -X POST ${baseUrl}${path} \\`,
    `  -H 'Authorization: Bearer ${key}' \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${json.replaceAll("'", String.raw`'\''`)}'`,
  ].join('\n');
}
