/** Types of webhooks about a job or an image (contract, section 7). */
export const JOB_WEBHOOK_TYPES = [
  'job.queued',
  'job.processing',
  'job.progress',
  'job.finished',
  'job.failed',
  'job.canceled',
] as const;
export const IMAGE_WEBHOOK_TYPES = ['image.finished', 'image.failed'] as const;

export type WebhookType = (typeof JOB_WEBHOOK_TYPES)[number] | (typeof IMAGE_WEBHOOK_TYPES)[number];

/** What a `callback_url` gets unless its job says otherwise. */
export const DEFAULT_JOB_EVENTS: WebhookType[] = JOB_WEBHOOK_TYPES.filter((type) => type !== 'job.progress');

const ALL = new Set<string>([...JOB_WEBHOOK_TYPES, ...IMAGE_WEBHOOK_TYPES]);

export function isWebhookType(type: string): type is WebhookType {
  return ALL.has(type);
}

/** A webhook that has to be sent: written in the statement of the fact that it tells. */
export interface NewDelivery {
  id: string;
  tenantId: string;
  jobId: string;
  sequence: number;
  type: WebhookType;
  url: string;
  /** The exact bytes that are signed and sent at every attempt. */
  body: string;
  /** True for the last webhook of its job. */
  ends: boolean;
}
