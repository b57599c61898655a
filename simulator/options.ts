/**
 * What a job does besides running normally; `*_when_ended` and `*_to_history` follow "a job may leave the list".
 * fail: ends with status -1. stick: stays half way. stick_queued: stays in the queue. unlisted: found by id only.
 * vanish: 404 everywhere. vanish_to_history: 404 by id, in the history. vanish_when_ended: normal, then in the history only.
 */
export const JOB_BEHAVIORS = [
  'normal',
  'fail',
  'stick',
  'stick_queued',
  'unlisted',
  'unlisted_when_ended',
  'vanish',
  'vanish_to_history',
  'vanish_when_ended',
] as const;

export type JobBehavior = (typeof JOB_BEHAVIORS)[number];

type BehaviorPattern = readonly [text: string, behavior: JobBehavior];

/** Settings of a simulator and their defaults. Times in milliseconds unless the name says otherwise; money in Credits. */
export const DEFAULT_OPTIONS = {
  /** 0 takes any free port. */
  port: 0,
  host: '127.0.0.1',
  /** Base of absolute URLs in answers; null takes the Host header of the request, as Django does. */
  publicUrl: null as string | null,
  /** One account is created for each. */
  tokens: ['demo-token'] as readonly string[],
  /** Accept any token and create an account for it. */
  autoCreateAccounts: false,
  /** Credits of a new account. */
  credits: 1_000_000,
  /** Multiplier on queue time and duration: 0.1 is ten times faster. */
  pace: 1,
  queueMs: 2_000,
  durationMs: 20_000,
  /** 0 to 1: how far queue time and duration of a job may lie from the setting, decided by the seed and the job's id. */
  jitter: 0,
  seed: 1,
  /** Time moves only by the control API. */
  frozenClock: false,
  /** Delay before every API answer; the work is done after it. */
  latencyMs: 0,
  /** Lifetime of result URLs. */
  urlTtlS: 3_600,
  pageMax: 100,
  pageDefault: 20,
  /** `output_video` is null for this long after the finish. */
  outputDelayMs: 0,
  /** `output_video.file` is null for this long after the finish. */
  outputFileDelayMs: 0,
  /** `file` of an upload is null for this long. */
  uploadReadyMs: 0,
  /** URLs that are answered with "cannot be parsed". */
  notVideoPattern: /not-a-video/,
  notImagePattern: /not-an-image/,
  /** Behavior of a job whose video_url contains the text. The first that fits wins, so longer texts come first. */
  behaviorPatterns: [
    ['sim-fail', 'fail'],
    ['sim-stick-queued', 'stick_queued'],
    ['sim-stick', 'stick'],
    ['sim-unlisted-when-ended', 'unlisted_when_ended'],
    ['sim-unlisted', 'unlisted'],
    ['sim-vanish-when-ended', 'vanish_when_ended'],
    ['sim-vanish-to-history', 'vanish_to_history'],
    ['sim-vanish', 'vanish'],
  ] as readonly BehaviorPattern[],
  /** Where jobs go when they end. */
  endedJobs: 'listed' as 'listed' | 'unlisted' | 'history',
  /** How the history words a status: `Finished` or `2`. */
  historyStatus: 'label' as 'label' | 'digits',
  /** The documents contradict each other on no credits: 402 `{detail}`, or 400 `{errors, non_field_errors}`. */
  noCreditsStatus: 402 as 402 | 400,
  /** Answer to a POST or DELETE without the trailing slash. */
  missingSlashStatus: 500 as 500 | 404,
  /** Share of the cost that comes back when a processing job is canceled; a queued one gives everything back. */
  cancelRefundShare: 0.9,
  failRefundShare: 0,
  /** Credits for an image without watermark. */
  imageCost: 1,
  /** null: no limit. */
  watermarkedImagesPerDay: null as number | null,
  /** Bytes of enhanced and uploaded videos per account; null: no limit. */
  storageLimitBytes: null as number | null,
  /** Size of the ring of received requests; 0 turns the log off. */
  requestLogSize: 10_000,
  /** Keep the decoded body with each logged request. */
  logBodies: false,
};

export type SimulatorOptions = typeof DEFAULT_OPTIONS;
