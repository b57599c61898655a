import { Prisma } from '../../../generated/prisma/client.js';

/** How often a row that waits for the outcome of an equal one looks by itself; the verdict wakes it sooner. */
export const EQUAL_RECHECK_MS = 30_000;

/** Complete looks after which TensorPix is known not to have a job. */
export const CLEAN_LOOKS_NEEDED = 2;

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
