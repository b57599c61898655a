import { setTimeout as sleep } from 'node:timers/promises';
import type { Simulator } from '../../../simulator/simulator.js';
import type { Random } from './random.js';
import { FOREIGN_MODEL, type Submission } from './submission.js';

const EQUAL_URL = 0.4;
const LONGEST_DELAY_MS = 400;
const ANSWER_TIMEOUT_MS = 3_000;
/** TensorPix's clock shows whole seconds, and the gateway grants it two more. */
const HEAD_START_MS = 5_000;

/** Another program of the company's that uses TensorPix with the same tokens, and is no client of the gateway. */
export class ForeignSystem {
  /** Jobs of its that look exactly like those of submissions. */
  readonly twins = new Set<number>();
  private readonly underWay = new Set<Promise<void>>();
  private made = 0;

  constructor(private readonly simulator: Simulator) {}

  /** Makes a job that looks exactly as the one that is about to be asked for, so long before that it cannot be that. */
  async precede({ url, body, tenant }: Submission): Promise<void> {
    const models = body['ml_models'] as number[];
    const seed = { token: tenant.token, jobs: 1, video_url: url, ml_models: models };
    this.twins.add(this.simulator.control.seed(seed).first_id);
    await sleep(HEAD_START_MS);
  }

  /** Makes a job in the account of a submission at about the same time, at times of the same URL with another model. */
  submit({ kind, url, tenant }: Submission, random: Random): void {
    const own = `https://foreign.example.com/${this.made++}.mp4`;
    const video_url = kind === 'video' && random.chance(EQUAL_URL) ? url : own;
    const body = JSON.stringify({ video_url, ml_models: [FOREIGN_MODEL] });
    const headers = { authorization: `Token ${tenant.token}`, 'content-type': 'application/json' };
    const delayMs = random.whole(0, LONGEST_DELAY_MS);
    const submitting = this.send(body, headers, delayMs).finally(() => this.underWay.delete(submitting));
    this.underWay.add(submitting);
  }

  async ended(): Promise<void> {
    await Promise.all(this.underWay);
  }

  /** What became of it, the simulator knows. */
  private async send(body: string, headers: Record<string, string>, delayMs: number): Promise<void> {
    await sleep(delayMs);
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const options = { method: 'POST', headers, body, signal };
    const answer = await fetch(`${this.simulator.url}/api/jobs/from-url/`, options).catch(() => null);
    await answer?.body?.cancel().catch(() => undefined);
  }
}
