import { Injectable } from '@nestjs/common';
import { Metrics } from './metrics.js';

/** Whether this process has begun to shut down: readiness says no from then on. */
@Injectable()
export class Draining {
  private yes = false;

  constructor(private readonly metrics: Metrics) {}

  get begun(): boolean {
    return this.yes;
  }

  begin(): void {
    this.yes = true;
    this.metrics.draining.set(1);
  }
}
