import { Prisma } from '../../../generated/prisma/client.js';
import { CLEAN_LOOKS_NEEDED } from './judgement.js';

/** How often a row that waits for the outcome of an equal one looks by itself; the verdict wakes it sooner. */
export const EQUAL_RECHECK_MS = 30_000;

/**
 * A row of the account whose outcome is unknown and that TensorPix's list cannot tell from this one: while there is any, no
 * other is sent, because then nobody could say whose a job is. A row that is known not to be there stands in nobody's way.
 * For `exists`; the offset keeps the planner from reading all unknown rows of all accounts into a hash instead.
 */
export function unknownEqual(accountId: Prisma.Sql, observableKey: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    select 1 from jobs unknown
     where unknown.account_id = ${accountId} and unknown.observable_key = ${observableKey}
       and unknown.status = 'unconfirmed' and unknown.clean_looks < ${CLEAN_LOOKS_NEEDED}::int
    offset 0`;
}
