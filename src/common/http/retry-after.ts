/**
 * How long `Retry-After` asks to wait, by seconds or by a date (RFC 9110, section 10.2.3).
 *
 * @returns milliseconds, 0 for a date that has passed, at most `capMs`; null when it is absent or cannot be read
 */
export function parseRetryAfter(header: string | null | undefined, capMs: number, nowMs = Date.now()): number | null {
  if (!header) return null;
  const seconds = /^\s*(\d+)\s*$/.exec(header)?.[1];
  if (seconds !== undefined) return Math.min(capMs, Number(seconds) * 1000);
  // A date has letters; Date.parse would take "-5" and "1.5" for years. Its oldest form names no zone and means GMT (section 5.6.7).
  const text = /^[a-z]{3} [a-z]{3} .*\d$/i.test(header.trim()) ? `${header.trim()} GMT` : header;
  const dateMs = /[a-z]/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(dateMs) ? null : Math.min(capMs, Math.max(0, dateMs - nowMs));
}
