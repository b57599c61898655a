import { Prisma } from '../../generated/prisma/client.js';

/**
 * Now, as a time from which something is due. The columns keep milliseconds and round: what became due at 0.7 ms past
 * would be due in the future, and be missed by the look that its own wake-up caused.
 */
export const DUE_NOW = Prisma.sql`date_trunc('milliseconds', now())`;
