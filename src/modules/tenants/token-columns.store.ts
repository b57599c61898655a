import { v7 as uuidv7 } from 'uuid';
import { type Prisma } from '../../generated/prisma/client.js';

export type TokenStatus = 'unknown' | 'valid' | 'rejected';

/** What of a tenant is written together with its token. */
export interface TokenColumns {
  /** the account that the token is known to belong to; null: a new one, unless the token is known after all */
  accountId: string | null;
  /** SHA-256 of the token */
  fingerprint: Uint8Array<ArrayBuffer>;
  ciphertext: string;
  last4: string;
  status: TokenStatus;
}

/** Another account cannot be taken: TensorPix has, or may have, jobs of this tenant. */
export class AccountInUse extends Error {}

/** Parts of the transactions that write a tenant's token. */

/**
 * Ends the tenant's rest and hold. The reason of the hold stays, which says that what waited for the account is to be made due:
 * afterwards (`ParkedJobsStore`), since it may be much, and nobody may send a job while this holds the tenant's row.
 *
 * @throws AccountInUse
 */
export async function changeToken(
  tx: Prisma.TransactionClient,
  id: string,
  presentAccountId: string,
  token: TokenColumns,
) {
  const accountId = await saveAccount(tx, token);
  if (accountId !== presentAccountId && (await mayHaveJobs(tx, id))) throw new AccountInUse();
  const pace = { update: { restUntil: null, holdUntil: null } };
  return { ...tokenData(token, accountId), pace };
}

/**
 * Remembers that a token belongs to an account, a new one when none is given. Returns the account. Of two that do this at once for
 * one token, the new account of the second stays empty: its deletion would read all jobs for one of it.
 */
export async function saveAccount(
  tx: Prisma.TransactionClient,
  { fingerprint, accountId }: TokenColumns,
): Promise<string> {
  const known = await tx.tokenFingerprint.findUnique({ where: { fingerprint } });
  if (known) return known.accountId;
  const id = accountId ?? uuidv7();
  await tx.tensorpixAccount.createMany({ data: { id }, skipDuplicates: true });
  await tx.tokenFingerprint.createMany({ data: { fingerprint, accountId: id }, skipDuplicates: true });
  return (await tx.tokenFingerprint.findUniqueOrThrow({ where: { fingerprint } })).accountId;
}

/**
 * Whether TensorPix has, or may have, jobs of this tenant that have not ended. A row that is to be sent again counts when the
 * outcome of any call for it was unknown: that call may still come back. Such a row is told by its history.
 */
export async function mayHaveJobs(tx: Prisma.TransactionClient, tenantId: string): Promise<boolean> {
  // States written out, here and below: sessions plan without the values of parameters (ADR 13).
  const [row] = await tx.$queryRaw<{ found: boolean }[]>`
    select exists (
      select 1 from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.kind in ('video', 'image')
         and j.status in ('unconfirmed', 'queued', 'processing')
    ) or exists (
      select 1 from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.kind in ('video', 'image') and j.status = 'submitting'
         and (j.tensorpix_id is not null or j.lease_token is not null
              or j.attempt > 0 and exists (
                   select 1 from job_events e where e.job_id = j.id and e.type = 'job.unconfirmed' offset 0))) as found`;
  return row?.found ?? false;
}

/** Whether any job of this tenant has not ended. */
export async function hasJobsUnderWay(tx: Prisma.TransactionClient, tenantId: string): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ found: boolean }[]>`
    select exists (
      select 1 from jobs j
       where j.tenant_id = ${tenantId}::uuid and j.kind in ('video', 'image')
         and j.status in ('submitting', 'unconfirmed', 'queued', 'processing')) as found`;
  return row?.found ?? false;
}

/** The columns of a tenant's row that are its token's. */
export function tokenData(token: TokenColumns, accountId: string) {
  return {
    accountId,
    tokenCiphertext: token.ciphertext,
    tokenLast4: token.last4,
    tokenStatus: token.status,
  };
}
