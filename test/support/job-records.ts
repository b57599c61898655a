import type { JobRecord } from '../../src/modules/jobs/job-record.js';
import type { UpstreamJob, UpstreamVideo } from '../../src/modules/tensorpix/answers.js';
import { JOB_WEBHOOK_TYPES } from '../../src/modules/webhooks/webhook-types.js';

export const T0 = new Date('2026-11-20T09:00:00.000Z');

/** So many milliseconds after T0. */
export function at(ms: number): Date {
  return new Date(T0.getTime() + ms);
}

/** A video job at TensorPix, with a callback for every event. */
export function jobRecord(overrides: Partial<JobRecord> = {}): JobRecord {
  return {
    id: '01935000-0000-7000-8000-000000000001',
    tenantId: '01935000-0000-7000-8000-0000000000aa',
    accountId: '01935000-0000-7000-8000-0000000000bb',
    apiKeyId: null,
    kind: 'video',
    status: 'queued',
    statusReason: null,
    tensorpixId: 123,
    preview: false,
    progress: null,
    etaSeconds: null,
    costCredits: '1.2500',
    input: { video_url: 'https://media.example.com/in.mp4', ml_models: [1] },
    output: null,
    error: null,
    warnings: [],
    externalId: null,
    metadata: {},
    callbackUrl: 'https://hooks.example.com/x',
    callbackEvents: [...JOB_WEBHOOK_TYPES, 'image.finished', 'image.failed'],
    sequence: 2,
    reportedProgress: 0,
    parks: false,
    strict: false,
    attempt: 1,
    observableKey: 'ab'.repeat(32),
    calledAt: T0,
    unknownSince: null,
    cleanLooks: 0,
    cleanLookAt: null,
    doubtedSince: null,
    dueAt: null,
    leaseToken: null,
    leaseExpiresAt: null,
    sourceExpiresAt: null,
    cancelRequestedAt: null,
    resultAwaitedSince: null,
    missingSince: null,
    missingLooks: 0,
    createdAt: T0,
    submittedAt: T0,
    startedAt: null,
    finishedAt: null,
    updatedAt: T0,
    ...overrides,
  };
}

export function seenJob(overrides: Partial<UpstreamJob> = {}): UpstreamJob {
  return { id: 123, status: 'queued', progress: 0, etaSeconds: 10, costCredits: '1.2500', output: null, ...overrides };
}

export const RESULT: UpstreamVideo = {
  id: 9,
  url: 'https://storage.example.com/out.mp4',
  width: 1920,
  height: 1080,
  sizeBytes: 1_000,
  thumbnailUrl: null,
};
