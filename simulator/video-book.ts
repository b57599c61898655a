import type { SimAccount } from './accounts.js';
import type { SimJob, SimRestoredVideo, SimVideo } from './job.js';
import { hash32 } from './random.js';

const FIRST_VIDEO_ID = 20_001;
const FIRST_RESTORED_ID = 30_001;
const SIZES: readonly (readonly [width: number, height: number])[] = [
  [640, 360],
  [1280, 720],
  [1920, 1080],
];
const FRAMERATES = [24, 25, 30];

/** Input and enhanced videos of all accounts, in two spaces of ids. */
export class VideoBook {
  readonly inputs = new Map<number, SimVideo>();
  readonly restored = new Map<number, SimRestoredVideo>();
  private nextVideoId = FIRST_VIDEO_ID;
  private nextRestoredId = FIRST_RESTORED_ID;

  constructor(private readonly seed: number) {}

  reset(): void {
    this.inputs.clear();
    this.restored.clear();
    this.nextVideoId = FIRST_VIDEO_ID;
    this.nextRestoredId = FIRST_RESTORED_ID;
  }

  /** An input video known by its URL; its dimensions follow from the URL and the seed. */
  addExternal(account: SimAccount, url: string, nowMs: number): SimVideo {
    return this.add(account, fileName(url), url, nowMs, 0);
  }

  addUpload(account: SimAccount, name: string, sizeBytes: number, nowMs: number): SimVideo {
    return this.add(account, name, null, nowMs, sizeBytes);
  }

  remove(video: SimVideo): void {
    video.deleted = true;
    this.inputs.delete(video.id);
    video.account.videoList.setVisible(video.slot, false);
    video.account.storageBytes -= video.externalUrl === null ? video.sizeBytes : 0;
  }

  addRestored(job: SimJob, nowMs: number): SimRestoredVideo {
    const scale = Math.max(1, ...job.models.map((model) => model.upscale_factor));
    const sizeBytes = Math.round(job.input.sizeBytes * scale) + 1_000;
    const { account } = job;
    const restored = {
      id: this.nextRestoredId++,
      account,
      job,
      createdAtMs: nowMs,
      sizeBytes,
      deletedAtMs: null,
      slot: 0,
    };
    restored.slot = account.restoredList.push(restored);
    account.storageBytes += sizeBytes;
    this.restored.set(restored.id, restored);
    return restored;
  }

  removeRestored(restored: SimRestoredVideo, nowMs: number): void {
    restored.deletedAtMs = nowMs;
    this.restored.delete(restored.id);
    restored.account.restoredList.setVisible(restored.slot, false);
    restored.account.storageBytes -= restored.sizeBytes;
  }

  private add(account: SimAccount, name: string, externalUrl: string | null, nowMs: number, bytes: number): SimVideo {
    const hash = hash32(this.seed, externalUrl ?? name);
    const [width, height] = SIZES[hash % SIZES.length] ?? [640, 360];
    const frames = 250 + (hash % 7_000);
    const video: SimVideo = {
      id: this.nextVideoId++,
      account,
      name,
      externalUrl,
      createdAtMs: nowMs,
      width,
      height,
      frames,
      framerate: FRAMERATES[(hash >>> 8) % FRAMERATES.length] ?? 25,
      sizeBytes: externalUrl === null ? bytes : frames * 4_000,
      activeJobs: 0,
      deleted: false,
      slot: 0,
    };
    video.slot = account.videoList.push(video);
    account.storageBytes += bytes;
    this.inputs.set(video.id, video);
    return video;
  }
}

/** Last part of a URL's path. */
function fileName(url: string): string {
  const path = url.split(/[?#]/, 1)[0] ?? '';
  const name = path.slice(path.lastIndexOf('/') + 1);
  return name === '' ? 'video' : name.slice(0, 200);
}
