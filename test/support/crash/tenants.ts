import { setTimeout as sleep } from 'node:timers/promises';
import type { Replica } from './replica.js';

/** A team, as its client knows it. */
export interface Tenant {
  id: string;
  key: string;
  /** Its TensorPix token; tenants with the same share an account. */
  token: string;
}

/**
 * The account of each tenant of a generation; some share one. A look at an account that was killed delays the next one by
 * its claim's time, so there are several.
 */
const ACCOUNTS = [1, 2, 3, 4, 5, 6, 7, 7];
const RETRY_MS = 200;

/**
 * Tenants that live for a part of a run, so that an account has hundreds of jobs at most, as the looks at TensorPix read
 * all of an account's. The requests that make them are repeated until they are answered: replicas die meanwhile.
 */
export async function createTenants(
  replicas: readonly Replica[],
  adminKey: string,
  generation: number,
  givingUp: AbortSignal,
): Promise<Tenant[]> {
  const insist = (path: string, body: object) => create(replicas, adminKey, path, body, givingUp);
  const tenants: Tenant[] = [];
  for (const [place, account] of ACCOUNTS.entries()) {
    const token = `token-of-generation-${generation}-account-${account}-g${generation}a${account}`;
    const name = `team ${generation}.${place}`;
    const { id } = await insist('/v1/tenants', { name, tensorpix_token: token });
    const { key } = await insist(`/v1/tenants/${id}/api-keys`, { name: 'soak' });
    if (!id || !key) throw new Error(`a tenant without id or key: ${id}`);
    tenants.push({ id, key, token });
  }
  return tenants;
}

async function create(
  replicas: readonly Replica[],
  adminKey: string,
  path: string,
  body: object,
  givingUp: AbortSignal,
): Promise<{ id?: string; key?: string }> {
  const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
  for (;;) {
    const up = replicas.filter(({ isUp }) => isUp);
    const { url } = (up.length > 0 ? up : replicas)[0]!;
    const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) }).catch(
      () => null,
    );
    const text = await answer?.text().catch(() => null);
    if (answer?.status === 201 && text) return JSON.parse(text) as { id?: string; key?: string };
    if (answer && answer.status < 500) throw new Error(`${path} answered ${answer.status}: ${text}`);
    await sleep(RETRY_MS, undefined, { signal: givingUp });
  }
}
