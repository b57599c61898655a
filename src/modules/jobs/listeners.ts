/** How long a tenant is taken to have a receiver since one was found. */
const REMEMBERED_MS = 60_000;
const MAX_REMEMBERED = 10_000;

/**
 * Tenants whose standing endpoints were found to ask for webhooks. Only saves statements: who is missing here is found again, and
 * who has no endpoint any more costs as much as those that have.
 */
export class Listeners {
  private readonly foundAtMs = new Map<string, number>();

  add(tenantId: string): void {
    if (this.foundAtMs.size >= MAX_REMEMBERED) this.foundAtMs.clear();
    this.foundAtMs.set(tenantId, performance.now());
  }

  has(tenantId: string): boolean {
    const foundAtMs = this.foundAtMs.get(tenantId);
    return foundAtMs !== undefined && performance.now() - foundAtMs < REMEMBERED_MS;
  }
}
