import type { FieldErrors } from '../../common/errors/problem.js';
import { parseRetryAfter } from '../../common/http/retry-after.js';
import { redactText } from '../../common/logging/redact.js';
import { parseJson } from '../../common/validation/json.js';
import type { TransportError } from './pool.adapter.js';

/** Why TensorPix said no. Nothing was done and nothing was charged. */
export type RefusalReason =
  | 'invalid'
  | 'insufficient_credits'
  | 'storage_full'
  | 'token_rejected'
  | 'forbidden'
  /** in TensorPix's own words: a 404 of whatever stands before it says nothing of a job */
  | 'not_found'
  | 'conflict'
  | 'rate_limited'
  | 'other';

export interface Refusal {
  reason: RefusalReason;
  status: number;
  /** TensorPix's own words, without secrets, at most 500 characters. */
  detail: string;
  /** those are in its own form (`{"detail": …}`); else whatever stands before TensorPix may have answered */
  worded: boolean;
  errors: FieldErrors;
  nonFieldErrors: string[];
  /** How long TensorPix asked to wait; null when it did not say. */
  retryAfterMs: number | null;
}

export type UnknownReason = 'timeout' | 'connection_lost' | 'server_error' | 'unusable_answer';

/**
 * What a call came to. The classes decide about money:
 * `ok` and `refused` are facts, `not_sent` may be repeated, `unknown` may have had its effect.
 */
export type CallOutcome<T> =
  /** `date`: TensorPix's clock when it answered, to the second */
  | { kind: 'ok'; value: T; date?: Date }
  | { kind: 'refused'; refusal: Refusal }
  /** `too_late`: it waited for a connection until whoever sent it was not allowed to any more */
  | { kind: 'not_sent'; reason: 'timeout' | 'unreachable' | 'circuit_open' | 'too_late'; retryAfterMs?: number }
  | { kind: 'unknown'; reason: UnknownReason; status: number | null; retryAfterMs: number | null };

/** Whether TensorPix said no, for this reason. */
export function isRefusedFor(outcome: CallOutcome<unknown>, reason: RefusalReason): boolean {
  return outcome.kind === 'refused' && outcome.refusal.reason === reason;
}

/** An answer as it came over the wire. */
export interface WireAnswer {
  status: number;
  retryAfter: string | undefined;
  date?: string | undefined;
  body: string;
}

const MAX_DETAIL_LENGTH = 500;
/** Of a text that may be megabytes long, so much is looked at. What is cut off there is far behind what is shown. */
const MAX_READ_LENGTH = 32_768;
const HALF_AT_END = /[\ud800-\udbff]$/;
const MAX_MESSAGES = 10;
const MAX_ERRORS_BYTES = 4_000;
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Statuses with one meaning. 400 needs its text, and everything from 500 on says nothing about what was done. */
const REFUSAL_BY_STATUS: Record<number, RefusalReason> = {
  401: 'token_rejected',
  402: 'insufficient_credits',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
  429: 'rate_limited',
};

/**
 * How TensorPix's 400s about the account read. Its schema says 402 for missing credits and its credits page says "400
 * and an appropriate message", so the wording decides; first match wins.
 */
const WORDINGS_OF_400: [RegExp, RefusalReason][] = [
  [
    /\bstorage\b.{0,60}\b(full|limit|exceed\w*|left|enough|space|quota)\b|\b(not enough|insufficient|no)\b.{0,30}\bstorage\b/i,
    'storage_full',
  ],
  [
    /\b(not enough|insufficient|no|too few|out of|lack\w*|low)\b.{0,40}\b(credits?|balance|funds)\b/i,
    'insufficient_credits',
  ],
  [
    /\b(credits?|balance|funds)\b.{0,40}\b(insufficient|not enough|too low|exhausted|exceeded|needed|required|run out)\b/i,
    'insufficient_credits',
  ],
];

/** A 400 that blames a field of the request is about the request, whatever words it uses. */
const ACCOUNT_FIELD = /credit|balance|storage|account|detail|error|message|__all__/i;

/** Classifies an answer whose 2xx body `parse` can turn into a value; null from it means unusable. */
export function classifyAnswer<T>(answer: WireAnswer, parse: (json: unknown) => T | null): CallOutcome<T> {
  const json = parseJson(answer.body);
  if (answer.status >= 200 && answer.status < 300) {
    const value = answer.status === 204 ? parse(null) : parse(json);
    const dateMs = Date.parse(answer.date ?? '');
    if (value !== null) return { kind: 'ok', value, ...(!Number.isNaN(dateMs) && { date: new Date(dateMs) }) };
    return unknown('unusable_answer', answer);
  }
  if (answer.status < 400 || answer.status >= 500) {
    return unknown(answer.status >= 500 ? 'server_error' : 'unusable_answer', answer);
  }
  return { kind: 'refused', refusal: readRefusal(answer, json) };
}

/** Classifies a call that got no complete answer. */
export function classifyFailure(error: TransportError): CallOutcome<never> {
  const { reason, sent } = error;
  if (reason === 'too_late') return { kind: 'not_sent', reason };
  if (!sent) return { kind: 'not_sent', reason: reason === 'timeout' ? 'timeout' : 'unreachable' };
  const reasons = { timeout: 'timeout', connection: 'connection_lost', answer_too_large: 'unusable_answer' } as const;
  return { kind: 'unknown', reason: reasons[reason], status: null, retryAfterMs: null };
}

function unknown(reason: UnknownReason, answer: WireAnswer): CallOutcome<never> {
  return { kind: 'unknown', reason, status: answer.status, retryAfterMs: retryAfterMs(answer.retryAfter, '') };
}

function readRefusal(answer: WireAnswer, json: unknown): Refusal {
  const { errors, nonFieldErrors, detail } = readErrorBody(json);
  const all = [detail ?? '', ...nonFieldErrors, ...Object.values(errors).flat()].join(' ');
  const aboutAccount = Object.entries(errors).filter(([name]) => ACCOUNT_FIELD.test(name));
  const general = [detail ?? '', ...nonFieldErrors, ...aboutAccount.flatMap(([, texts]) => texts)].join(' ');
  const reason = reasonOf(answer.status, general, detail);
  const text = detail ?? nonFieldErrors[0] ?? Object.entries(errors).map(([name, [first]]) => `${name}: ${first}`)[0];
  return {
    reason,
    status: answer.status,
    detail: text ?? `TensorPix answered ${answer.status}.`,
    worded: detail !== null,
    errors,
    nonFieldErrors,
    retryAfterMs: answer.status === 429 ? retryAfterMs(answer.retryAfter, all) : null,
  };
}

/** @param detail the `detail` that every 404 of TensorPix has (its schema `NotFoundError`) */
function reasonOf(status: number, text: string, detail: string | null): RefusalReason {
  if (status === 400) return reasonOf400(text);
  if (status === 404 && detail === null) return 'other';
  return REFUSAL_BY_STATUS[status] ?? 'other';
}

function reasonOf400(text: string): RefusalReason {
  return WORDINGS_OF_400.find(([pattern]) => pattern.test(text))?.[1] ?? 'invalid';
}

/** `{errors, non_field_errors}`, `{detail}` and the plain `{"field":["…"]}` of Django REST framework. */
function readErrorBody(json: unknown): { errors: FieldErrors; nonFieldErrors: string[]; detail: string | null } {
  if (Array.isArray(json)) return { errors: {}, nonFieldErrors: messages(json), detail: null };
  if (typeof json !== 'object' || json === null) return { errors: {}, nonFieldErrors: [], detail: null };
  const { errors, non_field_errors, detail, ...rest } = json as Record<string, unknown>;
  const fields = typeof errors === 'object' && errors !== null ? errors : rest;
  const [text] = messages(detail);
  return { errors: boundedErrors(fields), nonFieldErrors: messages(non_field_errors), detail: text ?? null };
}

/** Only so much of a refusal is kept: it goes into answers, rows and webhooks, which stay below 20 kB. */
function boundedErrors(fields: object): FieldErrors {
  const errors: FieldErrors = {};
  let left = MAX_ERRORS_BYTES;
  for (const [name, value] of Object.entries(fields)) {
    const texts = messages(value);
    left -= Buffer.byteLength(JSON.stringify([name, texts]));
    if (left < 0) break;
    if (texts.length > 0) errors[cleanText(name)] = texts;
  }
  return errors;
}

function messages(value: unknown): string[] {
  return [value]
    .flat()
    .filter((item) => typeof item === 'string' && item.trim() !== '')
    .slice(0, MAX_MESSAGES)
    .map((item) => cleanText(item as string));
}

/** Upstream text as it may be stored and shown: without secrets and NUL, and bounded. */
function cleanText(text: string): string {
  const read = text.replaceAll('\0', '').slice(0, MAX_READ_LENGTH).replace(HALF_AT_END, '');
  // Cut between characters: half a surrogate pair could not be stored.
  return Array.from(redactText(read)).slice(0, MAX_DETAIL_LENGTH).join('');
}

/** The header, else DRF's "Expected available in N seconds."; at most an hour. */
export function retryAfterMs(header: string | undefined, text: string, nowMs?: number): number | null {
  const seconds = /available in (\d{1,9}(?:\.\d+)?) seconds?/i.exec(text)?.[1];
  const textMs = seconds === undefined ? null : Math.min(MAX_RETRY_AFTER_MS, Math.ceil(Number(seconds) * 1000));
  return parseRetryAfter(header, MAX_RETRY_AFTER_MS, nowMs) ?? textMs;
}
