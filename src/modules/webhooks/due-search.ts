import { Injectable } from '@nestjs/common';
import type { Lease } from '../../common/loops/lease.js';
import { BEGINNING, DeliveryClaimsStore, type Claims, type ReceiverKey } from './delivery-claims.store.js';
import type { Places } from './receiver-gate.js';

/** For so long after more was due than a claim of the oldest reads, claims go by receiver. Milliseconds. */
const CROWDED_MS = 1_000;

/**
 * Finds what is due: the oldest of it, as long as that is few; else receiver by receiver, in a ring, where each claim goes on
 * where the one before ended. The first costs what is due, the second cannot be stood before by receivers that take nothing:
 * whoever got places last, those behind it are next. What is new for a receiver that answers quickly does not wait until the
 * ring comes to it: those are asked for by name, in turns with the ring.
 */
@Injectable()
export class DueSearch {
  private crowdedUntilMs = Number.NEGATIVE_INFINITY;
  private at: ReceiverKey = BEGINNING;
  /** from here on nothing was found */
  private barrenFrom: ReceiverKey = BEGINNING;
  /** the ring was closed since */
  private closed = false;
  /** something may have become due since quick receivers were asked for */
  private news = false;
  /** the ring's turn */
  private ringIsNext = false;

  constructor(private readonly claims: DeliveryClaimsStore) {}

  /** Something may have become due behind what a round has walked over. */
  beginAnew(): void {
    this.news = true;
    this.beginRound();
  }

  /** @returns with `more`: there are receivers that were not looked at yet */
  async claim(lease: Lease, places: Places): Promise<Claims & { more: boolean }> {
    if (performance.now() >= this.crowdedUntilMs) {
      const { full, ...oldest } = await this.claims.claimOldestAnyTenant(lease, places);
      if (full) this.crowdedUntilMs = performance.now() + CROWDED_MS;
      if (!full || oldest.deliveries.length + oldest.empty.length > 0) return { ...oldest, more: full };
    }
    if (this.news && !this.ringIsNext) {
      this.news = false;
      const claims = await this.claims.claimOfReceiversAnyTenant(lease, places, quickReceivers(places));
      this.ringIsNext = claims.deliveries.length + claims.empty.length > 0;
      if (this.ringIsNext) return { ...claims, more: true };
    }
    this.ringIsNext = false;
    return this.walk(lease, places);
  }

  private beginRound(): void {
    this.barrenFrom = this.at;
    this.closed = false;
  }

  private async walk(lease: Lease, places: Places): Promise<Claims & { more: boolean }> {
    const { walkedTo, ...claims } = await this.claims.claimByReceiverAnyTenant(lease, places, this.at);
    const over = this.isRoundOver(walkedTo);
    this.at = walkedTo ?? BEGINNING;
    this.closed ||= walkedTo === null;
    const found = claims.deliveries.length + claims.empty.length > 0;
    if (found) this.beginRound();
    else if (over) {
      // Places that become free meanwhile are for those behind the ones that got some last.
      this.at = this.barrenFrom;
      this.closed = false;
    }
    return { ...claims, more: found || !over };
  }

  /** @param walkedTo null: the end of the ring */
  private isRoundOver(walkedTo: ReceiverKey | null): boolean {
    if (this.barrenFrom === BEGINNING) return walkedTo === null;
    return this.closed && (walkedTo === null || !isBefore(walkedTo, this.barrenFrom));
  }
}

/** Those that answer quickly and have a place. */
function quickReceivers({ origins }: Places): ReceiverKey[] {
  return Object.entries(origins).flatMap(([origin, { free, tenants }]) =>
    free === 0
      ? []
      : Object.entries(tenants)
          .filter(([, receiver]) => receiver.lane === 'proven' && receiver.free > 0)
          .map(([tenantId]) => ({ origin, tenantId })),
  );
}

/** In the order of the walk. */
function isBefore(a: ReceiverKey, b: ReceiverKey): boolean {
  return a.origin === b.origin ? a.tenantId < b.tenantId : a.origin < b.origin;
}
