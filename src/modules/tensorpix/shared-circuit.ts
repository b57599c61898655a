import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Logger } from '../../common/logging/logger.js';
import { WakeUps } from '../../common/loops/wake-ups.js';
import { Metrics } from '../../common/metrics.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { UpstreamHostsStore } from './upstream-hosts.store.js';

/** How soon a replica hears of the others when notifications are lost. */
const READ_INTERVAL_MS = 5_000;

/**
 * The circuit of TensorPix's host, as all replicas know it: whoever finds that it does not serve tells the others, and so
 * does whoever finds that it serves again. Without the database each goes by what it has seen itself.
 */
@Injectable()
export class SharedCircuit implements OnApplicationBootstrap, OnModuleDestroy {
  readonly breaker = new CircuitBreaker((openForMs) => void this.tell(openForMs));
  private readonly host: string;
  private readonly timer: NodeJS.Timeout;
  /** The others know that it is open, from us or we from them: then they may also tell that it is closed. */
  private sharedOpen = false;
  private told = 0;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly hosts: UpstreamHostsStore,
    private readonly wakeUps: WakeUps,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {
    this.host = new URL(config.tensorpixBaseUrl).host;
    this.timer = setInterval(() => void this.hear(), READ_INTERVAL_MS).unref();
  }

  onApplicationBootstrap(): void {
    this.wakeUps.on('upstream', () => void this.hear());
    void this.hear();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  private async tell(openForMs: number | null): Promise<void> {
    this.told += 1;
    this.sharedOpen = false;
    this.metrics.circuitOpen.set(openForMs === null ? 0 : 1);
    try {
      await this.hosts.tell(this.host, openForMs);
      this.sharedOpen = openForMs !== null;
      this.wakeUps.ring('upstream');
    } catch (error) {
      this.logger.warn({ err: error }, 'the other replicas could not be told of the state of TensorPix');
    }
  }

  private async hear(): Promise<void> {
    const told = this.told;
    try {
      const openForMs = await this.hosts.findOpenForMs(this.host);
      // What this replica has told meanwhile is newer.
      if (told === this.told) this.take(openForMs);
    } catch (error) {
      this.logger.debug({ err: error }, 'the state of TensorPix, as the other replicas know it, could not be read');
    }
  }

  private take(openForMs: number | null): void {
    if (openForMs !== null && openForMs > 0) {
      this.sharedOpen = true;
      this.breaker.openFor(openForMs);
    } else if (openForMs === null && this.sharedOpen) {
      this.sharedOpen = false;
      this.breaker.close();
    }
    this.metrics.circuitOpen.set(this.breaker.isOpen ? 1 : 0);
  }
}
