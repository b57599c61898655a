import { hasEnded, type Submission } from './submissions.js';
import type { ReceivedWebhook } from './webhook-receiver.js';

/** What the webhooks of one submission come to. */
export interface WebhookTally {
  expected: string[];
  /** Of the expected, those that came with a good signature. */
  received: string[];
  missing: string[];
}

/**
 * The webhooks that a submission has to bring, as far as it has come. `briefly`: the real TensorPix may process a short
 * video between two looks at it, so that nobody sees it do so.
 */
export function tally(submission: Submission, webhooks: readonly ReceivedWebhook[], briefly: boolean): WebhookTally {
  const { status, id } = submission.job;
  const verified = webhooks.filter((webhook) => webhook.jobId === id && webhook.verified).map(({ type }) => type);
  const steps = submission.kind === 'image' ? [] : ['job.queued', 'job.processing'];
  const seen = steps.filter((type) => !(briefly && type === 'job.processing') || verified.includes(type));
  const end = submission.kind === 'image' ? `image.${status}` : `job.${status}`;
  const expected = hasEnded(submission) ? [...seen, end] : seen;
  const received = expected.filter((type) => verified.includes(type));
  return { expected, received, missing: expected.filter((type) => !verified.includes(type)) };
}

/** Everything that is not as it should be, in sentences; empty when all went well. */
export function findProblems(
  submissions: readonly Submission[],
  webhooks: readonly ReceivedWebhook[],
  briefly: boolean,
): string[] {
  const forged = webhooks.filter(({ verified }) => !verified);
  return [
    ...submissions.flatMap((submission) => findOwnProblems(submission, webhooks, briefly)),
    ...forged.map(({ type, externalId }) => `the signature of the webhook ${type} for ${externalId} is wrong`),
  ];
}

function findOwnProblems(submission: Submission, webhooks: readonly ReceivedWebhook[], briefly: boolean): string[] {
  const { kind, job } = submission;
  const { expected, missing } = tally(submission, webhooks, briefly);
  const own = webhooks.filter(({ jobId, verified }) => verified && jobId === job.id);
  const late = own.filter(({ order }) => order === 'late');
  const unexpected = own.filter(({ type }) => !expected.includes(type));
  return [
    ...endProblems(submission),
    ...missing.map((type) => `${kind}: the webhook ${type} is missing`),
    ...late.map(({ type, sequence }) => `${kind}: the webhook ${type} (sequence ${sequence}) came out of order`),
    ...unexpected.map(({ type }) => `${kind}: nobody expected the webhook ${type}`),
  ];
}

function endProblems(submission: Submission): string[] {
  const { kind, job } = submission;
  if (!hasEnded(submission))
    return [`${kind}: still ${job.status}${job.status_reason ? ` (${job.status_reason})` : ''}`];
  if (job.status !== 'finished') return [`${kind}: ${job.status}${job.error ? `, ${job.error.detail}` : ''}`];
  const url = job.output?.url ?? job.output?.enhanced_url;
  return url ? [] : [`${kind}: finished without the URL of a result`];
}
