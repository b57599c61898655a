import { Injectable } from '@nestjs/common';
import { Metrics } from './metrics.js';

/** Whether this process has begun to shut down: readiness says no from then on. */
@Injectable()
export class Draining {
  private readonly beginning = new AbortController();

  constructor(private readonly metrics: Metrics) {}

  get begun(): boolean {
    return this.beginning.signal.aborted;
  }

  begin(): void {
    this.metrics.draining.set(1);
    this.beginning.abort();
  }

  /** For those who hold something open that has to end then. */
  onBegin(listener: () => void): void {
    this.beginning.signal.addEventListener('abort', listener, { once: true });
  }
}
