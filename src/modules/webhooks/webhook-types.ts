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

export const TEST_WEBHOOK_TYPE = 'webhook.test';
export const ENDPOINT_DISABLED_TYPE = 'endpoint.disabled';

/** What a standing endpoint can ask for. Its own `webhook.test` comes unasked, too. */
export const ENDPOINT_WEBHOOK_TYPES = [
  ...JOB_WEBHOOK_TYPES,
  ...IMAGE_WEBHOOK_TYPES,
  TEST_WEBHOOK_TYPE,
  ENDPOINT_DISABLED_TYPE,
] as const;

export type WebhookType = (typeof JOB_WEBHOOK_TYPES)[number] | (typeof IMAGE_WEBHOOK_TYPES)[number];

/** What a `callback_url` gets unless its job says otherwise. */
export const DEFAULT_JOB_EVENTS: WebhookType[] = JOB_WEBHOOK_TYPES.filter((type) => type !== 'job.progress');

const ALL = new Set<string>([...JOB_WEBHOOK_TYPES, ...IMAGE_WEBHOOK_TYPES]);

/** Whether clients are told of events of this type. */
export function isWebhookType(type: string): type is WebhookType {
  return ALL.has(type);
}

/** How far a delivery got (contract, section 7). */
export const DELIVERY_STATUSES = ['pending', 'delivered', 'failing', 'exhausted', 'superseded'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** A fact to be told to whoever wants it: written in the statement of the fact itself. */
export interface NewWebhook {
  /** Of the delivery to the `callback_url`; those to standing endpoints derive theirs from it. */
  id: string;
  tenantId: string;
  jobId: string;
  sequence: number;
  type: WebhookType;
  /** The job's own `callback_url`, when it wants this; null otherwise. */
  url: string | null;
  /** The exact bytes that are signed and sent at every attempt. */
  body: string;
  /** True for the last webhook of its job. */
  ends: boolean;
}
