/**
 * What all of these come to, once the last has: one that fails keeps no other from its end.
 *
 * @throws what one failed with; of several an AggregateError, so that each is seen
 */
export async function waitForAll<T>(works: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(works);
  const failures = results.filter((result) => result.status === 'rejected').map(({ reason }): unknown => reason);
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} of ${works.length} failed`);
  for (const failure of failures) throw failure;
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
