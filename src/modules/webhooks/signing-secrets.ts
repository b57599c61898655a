import { Injectable } from '@nestjs/common';
import { WebhookSecretsStore } from './webhook-secrets.store.js';

/** A rotated secret signs on every replica within this time. */
const CACHE_MS = 3_000;
const MAX_ENTRIES = 10_000;

/** The secrets that sign for a tenant, read once in three seconds. */
@Injectable()
export class SigningSecrets {
  private readonly entries = new Map<string, { secrets: Promise<string[]>; readAtMs: number }>();

  constructor(private readonly store: WebhookSecretsStore) {}

  find(tenantId: string): Promise<string[]> {
    const entry = this.entries.get(tenantId);
    if (entry && performance.now() - entry.readAtMs < CACHE_MS) return entry.secrets;
    if (this.entries.size >= MAX_ENTRIES) this.entries.clear();
    const secrets = this.store.findSigning(tenantId);
    this.entries.set(tenantId, { secrets, readAtMs: performance.now() });
    secrets.catch(() => this.entries.delete(tenantId));
    return secrets;
  }

  forget(tenantId: string): void {
    this.entries.delete(tenantId);
  }
}
