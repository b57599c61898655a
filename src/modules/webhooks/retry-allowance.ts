import { Injectable } from '@nestjs/common';
import { Problem } from '../../common/errors/problem.js';
import { ManualRetriesStore } from './manual-retries.store.js';

const FULL_RETRY_SECONDS = 60;

/** How much a tenant may have waiting of what it has asked for itself: retries, replays, tests of endpoints. */
@Injectable()
export class RetryAllowance {
  constructor(private readonly retries: ManualRetriesStore) {}

  /** @throws Problem 429 when so much waits already */
  async mustAllow(tenantId: string, most: number): Promise<void> {
    const { count } = await this.retries.findWaiting(tenantId);
    if (count >= most) throw tooManyWaiting(count);
  }
}

/** 429, while so many wait. */
export function tooManyWaiting(count: number): Problem {
  const detail = `${count} retries that you asked for wait to be sent; ask for more when they are, or cancel replays.`;
  return new Problem('rate_limited', detail, { retryAfterSeconds: FULL_RETRY_SECONDS });
}
