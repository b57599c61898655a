/**
 * Milliseconds of the system's monotonic clock, which all processes of a machine share: moments noted in different
 * processes can be compared. `performance.now()` counts from the start of its own process.
 */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1_000_000;
}
