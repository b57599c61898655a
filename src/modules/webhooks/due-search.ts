import { Injectable } from '@nestjs/common';
import type { Lease } from '../../common/loops/lease.js';
import { DeliveryClaimsStore, type Claims } from './delivery-claims.store.js';
import type { Places } from './receiver-gate.js';

/** For so long after more was due than a claim of the oldest reads, claims go by receiver. Milliseconds. */
const CROWDED_MS = 1_000;

/**
 * Finds what is due: the oldest of it, as long as that is few; else receiver by receiver, in a ring, where each claim goes on
 * where the one before ended. The first costs what is due, the second cannot be stood before by a receiver that takes nothing.
 */
@Injectable()
export class DueSearch {
  private crowdedUntilMs = Number.NEGATIVE_INFINITY;
  private behind = '';
  /** The ring's end was reached without finding anything since; reached again, all of it was looked at. */
  private reachedEnd = false;

  constructor(private readonly claims: DeliveryClaimsStore) {}

  /** @returns with `more`: there are receivers that were not looked at yet */
  async claim(lease: Lease, places: Places): Promise<Claims & { more: boolean }> {
    if (performance.now() >= this.crowdedUntilMs) {
      const { full, ...oldest } = await this.claims.claimOldestAnyTenant(lease, places);
      if (full) this.crowdedUntilMs = performance.now() + CROWDED_MS;
      if (!full || oldest.deliveries.length > 0) return { ...oldest, more: full };
    }
    return this.walk(lease, places);
  }

  private async walk(lease: Lease, places: Places): Promise<Claims & { more: boolean }> {
    const begun = this.behind;
    const { walkedTo, ...claims } = await this.claims.claimByOriginAnyTenant(lease, places, begun);
    this.behind = walkedTo ?? '';
    if (claims.deliveries.length > 0) this.reachedEnd = false;
    if (walkedTo !== null) return { ...claims, more: true };
    this.reachedEnd = begun !== '' && !this.reachedEnd;
    return { ...claims, more: this.reachedEnd };
  }
}
