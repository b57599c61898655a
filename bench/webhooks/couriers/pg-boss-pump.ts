import type PgBoss from 'pg-boss';
import type { Delivery } from '../delivery.js';
import { IN_FLIGHT } from '../settings.js';

export const QUEUE = 'deliveries';
const BATCH = 500;
/** When this many of a batch are left, the next one is fetched. */
const FETCH_AHEAD = BATCH / 2;
/** The shortest interval that pg-boss's own `work` accepts. */
const POLL_MS = 500;

/**
 * Keeps attempts under way: fetches the next batch while the last one is being sent, and writes outcomes in batches.
 * pg-boss's own `work` waits for the slowest attempt of a batch before it fetches again, and is several times slower.
 */
export class PgBossPump {
  private readonly fetched: PgBoss.Job<Delivery>[] = [];
  private readonly inFlight = new Set<Promise<void>>();
  private completed: string[] = [];
  private failed: string[] = [];
  private recording: Promise<void> | null = null;
  private loop: Promise<void> = Promise.resolve();
  private stopping = false;
  private woken = false;
  private endPause: (() => void) | null = null;
  private roomMade: (() => void) | null = null;

  constructor(
    private readonly boss: PgBoss,
    private readonly send: (delivery: Delivery) => Promise<void>,
  ) {}

  start(): void {
    this.loop = this.run();
  }

  /** There is a new job: what `notifyWorker` is to `work`, within the process that adds the job. */
  wake(): void {
    this.woken = true;
    this.endPause?.();
  }

  /** Nothing more is fetched; what has been fetched is still sent, and its outcome recorded. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake();
    await this.loop;
    await Promise.all(this.inFlight);
    await this.recording;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      this.woken = false;
      const jobs = await this.boss.fetch<Delivery>(QUEUE, { batchSize: BATCH, priority: false });
      this.fetched.push(...jobs);
      this.fill();
      if (jobs.length === 0) await this.pause();
      else await this.untilLeft(FETCH_AHEAD);
    }
    await this.untilLeft(0);
  }

  private async pause(): Promise<void> {
    if (this.woken) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.endPause = resolve;
      timer = setTimeout(resolve, POLL_MS);
    });
    clearTimeout(timer);
    this.endPause = null;
  }

  /** Waits until no more than `most` of the fetched jobs have not been started. */
  private async untilLeft(most: number): Promise<void> {
    while (this.fetched.length > most) await new Promise<void>((resolve) => (this.roomMade = resolve));
  }

  private fill(): void {
    while (this.inFlight.size < IN_FLIGHT) {
      const job = this.fetched.shift();
      if (!job) return;
      const attempt = this.attempt(job).finally(() => {
        this.inFlight.delete(attempt);
        this.fill();
        this.roomMade?.();
      });
      this.inFlight.add(attempt);
    }
  }

  private async attempt({ id, data }: PgBoss.Job<Delivery>): Promise<void> {
    const outcomes = await this.send(data).then(
      () => this.completed,
      () => this.failed,
    );
    outcomes.push(id);
    this.recording ??= this.record().finally(() => (this.recording = null));
  }

  /** What ends while a batch is being written makes the next one. */
  private async record(): Promise<void> {
    while (this.completed.length + this.failed.length > 0) {
      const [completed, failed] = [this.completed, this.failed];
      [this.completed, this.failed] = [[], []];
      if (completed.length > 0) await this.boss.complete(QUEUE, completed);
      if (failed.length > 0) await this.boss.fail(QUEUE, failed);
    }
  }
}
