import type { Random } from './random.js';
import type { Tenant } from './tenants.js';

export const SOURCE_HOST = 'media.example.com';

/** How a submission ended for its client. */
export type Final =
  /** 201 or 202: the gateway has it. */
  | 'accepted'
  /** 4xx: it was refused. */
  | 'refused'
  /** 5xx with the id of a row: what TensorPix did is not known, or nothing was done. */
  | 'failed'
  /** The connection broke, and a client without a key cannot ask again. */
  | 'unheard';

/** One answer, or none. */
export interface Try {
  replica: string;
  /** Null: the connection broke. */
  status: number | null;
  id: string | null;
  code: string | null;
  replayed: boolean;
}

/** What a client wants, and what it was told. */
export interface Submission {
  number: number;
  tenant: Tenant;
  kind: 'video' | 'image';
  url: string;
  body: Readonly<Record<string, unknown>>;
  prefer: string | null;
  strict: boolean;
  key: string | null;
  /** Sent twice at once, to both replicas. */
  twice: boolean;
  /** How many submissions have this URL. */
  sharers: number;
  tries: Try[];
  final: Final | null;
}

/** Texts in a URL by which the simulator gives a job a behaviour (simulator/README.md), with their shares. */
const BEHAVIORS = [
  ['', 90],
  ['-sim-unlisted-when-ended', 6],
  ['-sim-vanish-to-history', 1],
  ['-not-a-video', 3],
] as const;

const PREFERENCES = [
  [null, 50],
  ['respond-async', 20],
  ['wait=1', 14],
  ['handling=strict', 16],
] as const;

const MODELS = [[1], [3], [1, 3], [34]];
/** No submission asks for it: a job with it is somebody else's. */
export const FOREIGN_MODEL = 14;

const KEYED = 0.8;
const TWICE = 0.06;
const IMAGES = 0.12;
const FREE_IMAGES = 0.5;
const GROUPS = 0.1;
/** Of the groups: those that differ in what TensorPix's list cannot show. */
const VARIANTS = 0.3;
const WITH_CALLBACK = 0.3;

/** Makes up what clients send. The nth submission of a seed is the same in every run. */
export class SubmissionMix {
  private made = 0;

  constructor(
    private readonly random: Random,
    private readonly callbackUrl: string,
  ) {}

  get count(): number {
    return this.made;
  }

  /** Usually one; at times several that want the same. */
  next(tenants: readonly Tenant[]): Submission[] {
    const random = this.random.fork(this.made);
    const tenant = random.pick(tenants);
    if (random.chance(IMAGES)) return [this.image(random, tenant)];
    const models = random.pick(MODELS);
    if (!random.chance(GROUPS)) {
      const url = `https://${SOURCE_HOST}/${this.made}${random.pickByShare(BEHAVIORS)}.mp4`;
      return [this.video(random, tenant, { video_url: url, ml_models: models }, 1)];
    }
    const sharers = random.whole(2, 3);
    const varies = random.chance(VARIANTS);
    const url = `https://${SOURCE_HOST}/${this.made}-${varies ? 'variants' : 'equals'}.mp4`;
    const team = tenants.filter(({ token }) => token === tenant.token);
    return Array.from({ length: sharers }, (_, i) => {
      const crf = varies ? { crf: 18 + i } : {};
      return this.video(random, random.pick(team), { video_url: url, ml_models: models, ...crf }, sharers);
    });
  }

  private video(random: Random, tenant: Tenant, fields: Record<string, unknown>, sharers: number): Submission {
    const callback = random.chance(WITH_CALLBACK) ? { callback_url: this.callbackUrl } : {};
    const url = String(fields['video_url']);
    return { ...this.common(random, tenant), kind: 'video', url, body: { ...fields, ...callback }, sharers };
  }

  private image(random: Random, tenant: Tenant): Submission {
    const watermark = random.chance(FREE_IMAGES);
    const url = `https://${SOURCE_HOST}/${this.made}-${watermark ? 'free' : 'paid'}.png`;
    const body = { url, enhancement_type: 'sr2x', face_enhance: false, output_format: 'png', watermark };
    return { ...this.common(random, tenant), kind: 'image', url, body, sharers: 1 };
  }

  private common(random: Random, tenant: Tenant) {
    const number = this.made++;
    const prefer = random.pickByShare(PREFERENCES);
    const key = random.chance(KEYED) ? `key-${number}` : null;
    const strict = prefer === 'handling=strict';
    const twice = key !== null && random.chance(TWICE);
    return { number, tenant, prefer, strict, key, twice, tries: [], final: null };
  }
}

/** Whether TensorPix is sure to refuse it. */
export function isRefused({ url }: { url: string }): boolean {
  return url.includes('not-a-video');
}

export function isPaidImage({ kind, body }: Submission): boolean {
  return kind === 'image' && body['watermark'] === false;
}

/** The rows that the client was told of by a 201 or a 202. */
export function acceptedIds({ tries }: Submission): Set<string> {
  return new Set(tries.filter(({ status }) => status === 201 || status === 202).map(({ id }) => id ?? 'no id'));
}
