import { Injectable } from '@nestjs/common';
import { WebhookSecretsStore, type SecretOwner } from './webhook-secrets.store.js';

/** A rotated secret signs on every replica within this time. */
const CACHE_MS = 3_000;
const MAX_ENTRIES = 10_000;

/** The secrets that sign for a tenant's `callback_url`s or for an endpoint, read once in three seconds. */
@Injectable()
export class SigningSecrets {
  private readonly entries = new Map<string, { secrets: Promise<string[]>; readAtMs: number }>();

  constructor(private readonly store: WebhookSecretsStore) {}

  find(owner: SecretOwner): Promise<string[]> {
    const key = keyOf(owner);
    const entry = this.entries.get(key);
    if (entry && performance.now() - entry.readAtMs < CACHE_MS) return entry.secrets;
    if (this.entries.size >= MAX_ENTRIES) this.entries.clear();
    const secrets = this.store.findSigning(owner);
    this.entries.set(key, { secrets, readAtMs: performance.now() });
    secrets.catch(() => this.entries.delete(key));
    return secrets;
  }

  forget(owner: SecretOwner): void {
    this.entries.delete(keyOf(owner));
  }
}

/** Ids of different tables never meet. */
function keyOf({ tenantId, endpointId }: SecretOwner): string {
  return endpointId ?? tenantId;
}
