import { Prisma } from '../../generated/prisma/client.js';

/** Why an account holds what is paid for, and nothing else. */
export const CREDITS = Prisma.sql`'insufficient_credits'`;

/**
 * What costs nothing: previews of videos, images with a watermark (TensorPix's documents). Word for word the condition of
 * `jobs_due_free_idx`.
 *
 * @param row alias of the job
 */
export function isFreeWork(row: 'i' | 'x'): Prisma.Sql {
  return Prisma.raw(`(${row}.preview or (${row}.kind = 'image' and ${row}.input @> '{"watermark": true}'))`);
}
