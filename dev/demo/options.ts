import { parseArgs } from 'node:util';

/** A failure whose message is meant for the person at the terminal: no stack is needed, no secret is in it. */
export class DemoError extends Error {}

/** Wrong flags; the exit code is 2, as with other command line programs. */
export class UsageError extends DemoError {}

export interface DemoOptions {
  once: boolean;
  /** Also print the gateway's log. */
  logs: boolean;
  /** Null: 3000 if it is free, else any. 0: any. */
  port: number | null;
  /** From the start of the program to the last webhook. */
  timeoutMs: number;
  videoUrl: string;
  imageUrl: string;
  /** What the simulator takes for the video. */
  durationMs: number;
  /** The account at the real TensorPix; null: the simulator. */
  account: { baseUrl: string; token: string } | null;
}

/** The samples that TensorPix's own documents name. */
const VIDEO_URL = 'https://sample-videos.com/video321/mp4/720/big_buck_bunny_720p_1mb.mp4';
const IMAGE_URL = 'https://dummyimage.com/600x400/000/fff';
const TENSORPIX_URL = 'https://backend.tensorpix.ai';

const TIMEOUT_S = 120;
/** Long enough to watch, short enough not to wait. */
const DURATION_S = 6;
/** A job can sit in TensorPix's queue for minutes. */
const REAL_TIMEOUT_S = 1_800;

export const HELP = `A video and an image on their way through the gateway, with every webhook that comes back.
Everything runs on this machine: Postgres, a simulated TensorPix, the gateway and a webhook receiver.

  npm run demo [-- flags]

  --once           stop when all is finished: exit code 0 if nothing was missing, else 1
  --port <n>       port of the gateway; default 3000 if it is free, else any free one
  --timeout <s>    give up after this many seconds; default ${TIMEOUT_S}, with the real TensorPix ${REAL_TIMEOUT_S}
  --logs           print the gateway's log as well
  --help

Environment:
  TENSORPIX_TOKEN       use the real TensorPix: a preview and a watermarked image, which cost nothing
  TENSORPIX_BASE_URL    the TensorPix that the token is for; default ${TENSORPIX_URL}
  DEMO_VIDEO_URL        the video, instead of TensorPix's sample
  DEMO_IMAGE_URL        the image, instead of TensorPix's sample
  DEMO_DURATION_S       seconds that the simulated TensorPix takes for the video; default ${DURATION_S}
  LOG_LEVEL             of the gateway; default info
  NO_COLOR              no colors
`;

/**
 * Reads flags and environment. Null asks for the help.
 * @throws UsageError for a flag or variable that is unknown or wrong
 */
export function parseOptions(args: string[], env: NodeJS.ProcessEnv): DemoOptions | null {
  const flags = parseFlags(args);
  if (flags.help) return null;
  const token = env.TENSORPIX_TOKEN || null;
  const defaultTimeoutS = token === null ? TIMEOUT_S : REAL_TIMEOUT_S;
  return {
    once: flags.once,
    logs: flags.logs,
    port: flags.port === undefined ? null : wholeNumber('--port', flags.port, 0, 65_535),
    timeoutMs:
      1_000 * (flags.timeout === undefined ? defaultTimeoutS : wholeNumber('--timeout', flags.timeout, 1, 86_400)),
    videoUrl: env.DEMO_VIDEO_URL || VIDEO_URL,
    imageUrl: env.DEMO_IMAGE_URL || IMAGE_URL,
    durationMs: 1_000 * wholeNumber('DEMO_DURATION_S', env.DEMO_DURATION_S || String(DURATION_S), 1, 3_600),
    account: token === null ? null : { token, baseUrl: httpOrigin('TENSORPIX_BASE_URL', env, TENSORPIX_URL) },
  };
}

function parseFlags(args: string[]) {
  const flag = { type: 'boolean', default: false } as const;
  const value = { type: 'string' } as const;
  try {
    return parseArgs({ args, options: { once: flag, logs: flag, help: flag, port: value, timeout: value } }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)} (--help tells the flags)`);
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`${name} must be a whole number from ${min} to ${max}`);
  }
  return value;
}

function httpOrigin(name: string, env: NodeJS.ProcessEnv, fallback: string): string {
  const text = env[name] || fallback;
  if (!/^https?:\/\/[a-z0-9.:[\]-]+\/?$/i.test(text)) throw new UsageError(`${name} must be an http(s) URL`);
  return new URL(text).origin;
}
