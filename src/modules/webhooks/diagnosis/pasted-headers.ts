import { failed, judged, unjudged, type DiagnosisCheck } from './diagnosis-check.js';

/** What the standard and its libraries allow between the receiver's clock and `webhook-timestamp`. */
const TOLERANCE_SECONDS = 300;

/** The three headers of a webhook, trimmed; null where one is missing or empty. */
export interface ReadHeaders {
  check: DiagnosisCheck;
  id: string | null;
  timestamp: string | null;
  signature: string | null;
}

/** Finds the three headers. Spaces around them fail the check, because a signed id has none, but hinder nothing else. */
export function readHeaders(pasted: Record<string, string>): ReadHeaders {
  const problems: string[] = [];
  const read = (wanted: string): string | null => {
    const found = Object.entries(pasted).filter(([name]) => headerOf(name) === wanted);
    const values = new Set(found.map(([, value]) => value.trim()));
    const [value] = values;
    if (value === undefined)
      problems.push(`${wanted} is missing: something between the gateway and your code drops it.`);
    else if (values.size > 1) problems.push(`${wanted} is there more than once, with different values.`);
    else if (value === '') problems.push(`${wanted} is empty.`);
    else if (found.some((pair) => pair.some((text) => text !== text.trim())))
      problems.push(`${wanted} has spaces around it: strip them, as HTTP does.`);
    return value || null;
  };
  const [id, timestamp, signature] = [read('webhook-id'), read('webhook-timestamp'), read('webhook-signature')];
  const check = judged('headers', problems, 'webhook-id, webhook-timestamp and webhook-signature are there.');
  return { check, id, timestamp, signature };
}

/** The header of a pasted name, which may be as CGI has it (RFC 3875, section 4.1.18), and so PHP and WSGI: HTTP_WEBHOOK_ID. */
export function headerOf(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/^http_/, '')
    .replaceAll('_', '-');
}

/** A `webhook-timestamp`, with what the signature is judged with. */
export interface ReadTimestamp {
  check: DiagnosisCheck;
  /** The digits that the gateway signs, where they can be told. */
  seconds: string | null;
}

/** Judges the age of a webhook. An old timestamp, or one in another form, leaves the signature to be judged. */
export function readTimestamp(text: string | null, now: Date): ReadTimestamp {
  if (text === null) return { seconds: null, check: unjudged('timestamp', 'There is no webhook-timestamp.') };
  if (!/^(0|[1-9]\d{0,10})$/.test(text)) return misreadTimestamp(text);
  const ageSeconds = Math.floor(now.getTime() / 1_000) - Number(text);
  const problems: string[] = [];
  if (ageSeconds > TOLERANCE_SECONDS)
    problems.push(
      `webhook-timestamp is ${duration(ageSeconds)} old; receivers allow ${TOLERANCE_SECONDS} seconds. An old delivery, ` +
        "pasted, always fails this check. If it was refused when it came, the receiver's clock is ahead, or the request " +
        'waited before it was verified.',
    );
  if (ageSeconds < -TOLERANCE_SECONDS)
    problems.push(
      `webhook-timestamp is ${duration(-ageSeconds)} in the future; receivers allow ${TOLERANCE_SECONDS} seconds. The ` +
        'header was changed, or a clock is wrong.',
    );
  return {
    seconds: text,
    check: judged('timestamp', problems, `webhook-timestamp is within ${TOLERANCE_SECONDS} seconds of now.`),
  };
}

function misreadTimestamp(text: string): ReadTimestamp {
  const { what, seconds } = foreignTimestamp(text);
  const judgedWith = seconds === null ? '' : ` The signature is judged with ${seconds}.`;
  const detail = `webhook-timestamp ${what}; it has to be a whole number of unix seconds, as the gateway sent it.${judgedWith}`;
  return { seconds, check: failed('timestamp', detail) };
}

/** What else people take for unix seconds, and the seconds where they can be told from it. */
function foreignTimestamp(text: string): { what: string; seconds: string | null } {
  if (/^[1-9]\d{11,19}$/.test(text)) {
    // Ten digits are seconds until the year 2286; the units of thousandths each add three.
    const [unit, digits] =
      text.length < 15 ? ['milliseconds', 3] : text.length < 18 ? ['microseconds', 6] : ['nanoseconds', 9];
    return { what: `is in ${unit}`, seconds: text.slice(0, -digits) };
  }
  if (/^[1-9]\d{0,10}\.\d{1,20}$/.test(text))
    return { what: 'has a fraction', seconds: text.slice(0, text.indexOf('.')) };
  const looksLikeDate = /^(\d{4}-\d\d-\d\d|[A-Z][a-z]{2}\b).{0,40}$/.test(text);
  const ms = looksLikeDate ? Date.parse(text) : NaN;
  if (ms > 0) return { what: 'is a date', seconds: String(Math.floor(ms / 1_000)) };
  return { what: 'is not such a number', seconds: null };
}

function duration(seconds: number): string {
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} minutes`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} hours` : `${Math.floor(seconds / 86_400)} days`;
}
