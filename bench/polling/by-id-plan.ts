import type pg from 'pg';
import { setTimeout as delay } from 'node:timers/promises';

export interface FollowedJob {
  id: string;
  tensorpixId: number;
  tenantId: string;
  accountId: string;
  /** its place in the order in which the scene made tenants */
  tenantNumber: number;
}

const INTERVAL_MS = 10_000;

export function tokenOf(tenantNumber: number): string {
  return `bench-token-${String(tenantNumber).padStart(4, '0')}`;
}

/** Looks at each job every ten seconds, evenly spread, until it has ended. */
export async function followById(pool: pg.Pool, look: (job: FollowedJob) => Promise<boolean>): Promise<void> {
  const { rows } = await pool.query<FollowedJob & { token: string }>(
    `select j.id, j.tensorpix_id::int as "tensorpixId", j.tenant_id as "tenantId", j.account_id as "accountId", t.token_last4 as token
       from jobs j join tenants t on t.id = j.tenant_id`,
  );
  const follow = async (job: FollowedJob): Promise<void> => {
    await delay(Math.random() * INTERVAL_MS);
    for (let ended = false; !ended;) {
      const startMs = performance.now();
      ended = await look(job).catch((error: unknown) => {
        console.error(error);
        return false;
      });
      await delay(Math.max(0, INTERVAL_MS - (performance.now() - startMs)));
    }
  };
  await Promise.all(rows.map(({ token, ...job }) => follow({ ...job, tenantNumber: Number(token) })));
}
