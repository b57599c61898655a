const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00Z');
const LATEST_MS = Date.parse('9999-12-31T23:59:59Z');

/** What is wrong with a time as a client writes it, or null. Years 1 to 9999 in UTC, which the database has too. */
export function checkTime(text: string): string | null {
  const ms = RFC3339.test(text) ? Date.parse(text) : Number.NaN;
  return ms >= EARLIEST_MS && ms <= LATEST_MS ? null : 'must be an RFC 3339 time such as 2026-11-20T09:00:00Z';
}
