import { parseUrl } from '../../common/validation/url.js';

/* Values of TensorPix's answers, read tolerantly: what is missing or of a strange type is null. */

const MAX_URL_LENGTH = 8_192;

/** The fields of an object; none of anything else. */
export function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** Null for an empty one too. */
export function readText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Null for what is no date. */
export function readDate(value: unknown): Date | null {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? null : new Date(ms);
}

/** At most ten digits before and four after the point, as the column has them. */
export function readCredits(value: unknown): string | null {
  const text = typeof value === 'number' ? value.toFixed(4) : value;
  return typeof text === 'string' && /^-?\d{1,10}(\.\d{0,4}0*)?$/.test(text) ? Number(text).toFixed(4) : null;
}

/** Brought within these bounds. */
export function readNumber(value: unknown, min: number, max: number): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? Math.min(max, Math.max(min, value)) : null;
}

/** A positive whole number. */
export function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

/** An absolute URL over HTTP that is not too long to be kept. */
export function isUrl(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length <= MAX_URL_LENGTH &&
    /^https?:\/\//i.test(value) &&
    parseUrl(value) !== null
  );
}
