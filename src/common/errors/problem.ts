import { STATUS_CODES } from 'node:http';

/** Every error code of the API with its HTTP status and the level at which it is logged (contract, section 2). */
export const PROBLEM_CODES = {
  validation_failed: { status: 400, level: 'info' },
  storage_full: { status: 400, level: 'info' },
  unauthenticated: { status: 401, level: 'info' },
  insufficient_credits: { status: 402, level: 'info' },
  budget_exceeded: { status: 402, level: 'info' },
  forbidden: { status: 403, level: 'info' },
  upstream_forbidden: { status: 403, level: 'warn' },
  not_found: { status: 404, level: 'info' },
  method_not_allowed: { status: 405, level: 'info' },
  idempotency_in_progress: { status: 409, level: 'info' },
  invalid_state: { status: 409, level: 'info' },
  payload_too_large: { status: 413, level: 'info' },
  unsupported_media_type: { status: 415, level: 'info' },
  expectation_failed: { status: 417, level: 'info' },
  idempotency_mismatch: { status: 422, level: 'info' },
  rate_limited: { status: 429, level: 'info' },
  active_job_limit: { status: 429, level: 'info' },
  headers_too_large: { status: 431, level: 'info' },
  internal_error: { status: 500, level: 'error' },
  upstream_token_rejected: { status: 502, level: 'warn' },
  upstream_error: { status: 502, level: 'warn' },
  unavailable: { status: 503, level: 'warn' },
  upstream_timeout: { status: 504, level: 'warn' },
} as const;

export type ProblemCode = keyof typeof PROBLEM_CODES;

/** Messages by field name, as TensorPix shapes them: `{"crf":["must not be greater than 51"]}`. */
export type FieldErrors = Record<string, string[]>;

export interface ProblemOptions {
  errors?: FieldErrors;
  nonFieldErrors?: string[];
  /** Whole seconds after which a repeat makes sense. */
  retryAfterSeconds?: number;
  /** The content coding that would have been taken. */
  acceptEncoding?: 'identity';
  /** Set when the problem is about a job that has a row. */
  job?: { id: string; path: string };
  cause?: unknown;
}

/** The body of an error answer: `application/problem+json`, RFC 9457, with the contract's extensions. */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  request_id: string;
  errors?: FieldErrors;
  non_field_errors?: string[];
  job_id?: string;
}

/**
 * An error that a caller may see. Whoever throws it chooses the code; nothing decides on message text.
 * `detail` must be free of secrets: it is answered and logged as it is.
 */
export class Problem extends Error {
  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    readonly options: ProblemOptions = {},
  ) {
    super(detail, { cause: options.cause });
    this.name = 'Problem';
  }

  get status(): number {
    return PROBLEM_CODES[this.code].status;
  }

  /** 400 for one or more named fields. */
  static invalid(errors: FieldErrors, nonFieldErrors: string[] = [], options: ProblemOptions = {}): Problem {
    const count = Object.keys(errors).length;
    const detail =
      count === 0
        ? (nonFieldErrors[0] ?? 'The request is invalid.')
        : `${count} field${count === 1 ? ' is' : 's are'} invalid.`;
    return new Problem('validation_failed', detail, { ...options, errors, nonFieldErrors });
  }

  static notFound(what: string): Problem {
    return new Problem('not_found', `${what} was not found.`);
  }

  toBody(requestId: string): ProblemBody {
    return {
      type: 'about:blank',
      title: STATUS_CODES[this.status] ?? 'Error',
      status: this.status,
      code: this.code,
      detail: this.detail,
      request_id: requestId,
      ...(this.status === 400 && {
        errors: this.options.errors ?? {},
        non_field_errors: this.options.nonFieldErrors ?? (this.options.errors ? [] : [this.detail]),
      }),
      ...(this.options.job && { job_id: this.options.job.id }),
    };
  }

  headers(): Record<string, string> {
    return {
      ...(this.status === 401 && { 'www-authenticate': 'Bearer' }),
      ...(this.options.retryAfterSeconds !== undefined && { 'retry-after': String(this.options.retryAfterSeconds) }),
      ...(this.options.acceptEncoding && { 'accept-encoding': this.options.acceptEncoding }),
      ...(this.options.job && { location: this.options.job.path }),
    };
  }
}
