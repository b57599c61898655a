import { Prisma } from '../../../generated/prisma/client.js';

/**
 * What the outcome of a create does to its key. `answer`: this is given again. `open`: from now on the key answers with what
 * becomes of the job. `free`: the key may be used anew, because the answer was about the account or the load.
 */
export type KeyEffect = { kind: 'answer'; status: number; body: string } | { kind: 'open' } | { kind: 'free' };

export interface KeyChange {
  tenantId: string;
  jobId: string;
  effect: KeyEffect;
}

/** Parts of the statement that writes a change of jobs; they refer to its part `changed (id)`. */
export function changeKeys(changes: KeyChange[]): Prisma.Sql {
  const rows = changes.map(({ tenantId, jobId, effect }) => ({
    tenant_id: tenantId,
    job_id: jobId,
    frees: effect.kind === 'free',
    status: effect.kind === 'answer' ? effect.status : null,
    body: effect.kind === 'answer' ? effect.body : null,
  }));
  return Prisma.sql`settled_key as (
    select k.* from json_to_recordset(${JSON.stringify(rows)}::json) as k(
        tenant_id uuid, job_id uuid, frees boolean, status integer, body text)
      join changed c on c.id = k.job_id
  ), freed_key as (
    delete from idempotency_keys k using settled_key s
     where s.frees and k.tenant_id = any(array[s.tenant_id]) and k.job_id = any(array[s.job_id])
  ), answered_key as (
    update idempotency_keys k
       set locked_until = null, answer_status = s.status, answer_body = s.body
      from settled_key s
     where not s.frees and k.tenant_id = any(array[s.tenant_id]) and k.job_id = any(array[s.job_id])
  )`;
}
