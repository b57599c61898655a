import { Injectable } from '@nestjs/common';
import { ApiKeysStore, type KeyHolder } from './api-keys.store.js';

/** Below the 5 s within which a revocation must act on every replica (contract, section 3). */
const CACHE_MS = 3_000;
const MAX_ENTRIES = 10_000;

interface Entry {
  holder: Promise<KeyHolder | null>;
  readAtMs: number;
}

/** Looks keys up, once in three seconds each. Concurrent requests with one key share the look-up. */
@Injectable()
export class KeyDirectory {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly keys: ApiKeysStore) {}

  /** Null when the key with this hash is unknown, expired or revoked. */
  async find(hash: Uint8Array<ArrayBuffer>): Promise<KeyHolder | null> {
    const entry = this.cached(Buffer.from(hash.buffer).toString('latin1'), hash);
    const holder = await entry.holder;
    const expiresInMs = holder?.expiresInMs ?? Number.POSITIVE_INFINITY;
    return performance.now() - entry.readAtMs < expiresInMs ? holder : null;
  }

  /** Forgets everything: what was just changed here acts here at once. */
  clear(): void {
    this.entries.clear();
  }

  private cached(id: string, hash: Uint8Array<ArrayBuffer>): Entry {
    const entry = this.entries.get(id);
    if (entry && performance.now() - entry.readAtMs < CACHE_MS) return entry;
    this.entries.delete(id);
    const oldest = this.entries.size >= MAX_ENTRIES ? this.entries.keys().next().value : undefined;
    if (oldest !== undefined) this.entries.delete(oldest);
    const read = { holder: this.keys.findHolderAnyTenant(hash), readAtMs: performance.now() };
    this.entries.set(id, read);
    read.holder.catch(() => this.entries.delete(id));
    return read;
  }
}
