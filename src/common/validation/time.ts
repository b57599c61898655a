const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00Z');
const LATEST_MS = Date.parse('9999-12-31T23:59:59Z');

/** What is wrong with a time as a client writes it, or null. Years 1 to 9999 in UTC, which the database has too. */
export function checkTime(text: string): string | null {
  const [, year, month, day] = RFC3339.exec(text) ?? [];
  const ms = isDay(Number(year), Number(month), Number(day)) ? Date.parse(text) : Number.NaN;
  return ms >= EARLIEST_MS && ms <= LATEST_MS ? null : 'must be an RFC 3339 time such as 2026-11-20T09:00:00Z';
}

/** Date.parse takes the 30th of February for the 2nd of March. */
function isDay(year: number, month: number, day: number): boolean {
  // The year 2000 has the days of any year that has a 29th of February; years below 100 mean others.
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return new Date(Date.UTC(leap ? 2000 : 2001, month - 1, day)).getUTCDate() === day;
}
