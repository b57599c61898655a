import { Inject, Injectable } from '@nestjs/common';
import { SchedulerRegistry } from '@nestjs/schedule';
import { CONFIG, type Config } from '../config/config.js';
import { Logger } from '../logging/logger.js';
import { Metrics } from '../metrics.js';
import { Loop, type Tick } from './loop.js';

/** What a loop runs, and how to wait for the work that its ticks have started. */
export interface Looped {
  tick: Tick;
  drain: () => Promise<void>;
}

/** Registers the loops with Nest's scheduler, unless this process only serves the API, and stops them at shutdown. */
@Injectable()
export class LoopRunner {
  private readonly started: { loop: Loop; drain: () => Promise<void> }[] = [];

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly scheduler: SchedulerRegistry,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Starts a loop. An error of a tick is logged and counted; the loop goes on.
   * @returns how to make it tick sooner
   */
  start(name: string, intervalMs: number, { tick, drain }: Looped): () => void {
    if (this.config.role === 'api') return () => undefined;
    this.metrics.loopErrors.inc({ loop: name }, 0);
    const loop = new Loop(name, tick, (error) => {
      this.metrics.loopErrors.inc({ loop: name });
      this.logger.error({ err: error, loop: name }, 'a tick failed; it will be tried again');
    });
    this.started.push({ loop, drain });
    this.scheduler.addInterval(
      name,
      setInterval(() => loop.kick(), intervalMs),
    );
    loop.kick();
    return () => loop.kick();
  }

  /** Stops claiming, then waits for what is in flight. */
  async stopAll(): Promise<void> {
    for (const { loop } of this.started) this.scheduler.deleteInterval(loop.name);
    await Promise.all(this.started.map(({ loop }) => loop.stop()));
    await Promise.all(this.started.map(({ drain }) => drain()));
  }
}
