import type { PagePosition } from '../http/cursor.js';

/** Order of every list that is paged by `Cursors` (contract, section 4). */
export const NEWEST_FIRST: { createdAt?: 'desc'; id?: 'desc' }[] = [{ createdAt: 'desc' }, { id: 'desc' }];

/** The condition of the rows behind a position in that order; none before the first page. */
export function behind(after: PagePosition | undefined) {
  return (
    after && { OR: [{ createdAt: { lt: after.createdAt } }, { createdAt: after.createdAt, id: { lt: after.id } }] }
  );
}
