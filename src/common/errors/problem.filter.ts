import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { answerComeBack, asksForEventStream } from '../http/event-stream.js';
import { Logger } from '../logging/logger.js';
import { isDatabaseAway, isPassing, sayAway } from '../prisma/database-errors.js';
import { Problem, PROBLEM_CODES, type ProblemCode } from './problem.js';

const NOTHING_THERE = 'There is nothing at this path with this method.';

/** Fastify's own errors that a client causes, by code. Anything unlisted falls back to its status. */
const FASTIFY_CODES: Record<string, { code: ProblemCode; detail: string }> = {
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'validation_failed', detail: 'The body is empty.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'validation_failed',
    detail: 'The body is not as long as content-length says.',
  },
  FST_ERR_BAD_URL: { code: 'validation_failed', detail: 'The path is not a valid URL path.' },
  FST_ERR_NOT_FOUND: { code: 'not_found', detail: NOTHING_THERE },
};

const STATUS_FALLBACK: Record<number, ProblemCode> = {
  400: 'validation_failed',
  404: 'not_found',
  405: 'method_not_allowed',
  414: 'not_found',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  429: 'rate_limited',
  503: 'unavailable',
};

const DETAILS: Partial<Record<ProblemCode, string>> = {
  payload_too_large: 'The body is larger than 1 MiB.',
  unsupported_media_type: 'Send application/json, application/x-www-form-urlencoded or multipart/form-data.',
};

/** The one place where an error becomes an HTTP answer. What nobody expected is a 500 without details, and logged. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(error, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }

  answer(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const problem = toProblem(error);
    const { level } = PROBLEM_CODES[problem.code];
    if (level === 'error') this.logger.error({ err: error, request_id: request.id }, 'unexpected error');
    else if (level === 'warn')
      this.logger.warn({ err: problem, code: problem.code, request_id: request.id }, problem.detail);
    if (reply.sent) return;
    if (problem.code === 'unavailable' && asksForEventStream(request)) return answerComeBack(reply);
    void reply
      .status(problem.status)
      .header('x-request-id', request.id)
      .headers(problem.headers())
      .header('content-type', 'application/problem+json; charset=utf-8')
      .send(JSON.stringify(problem.toBody(request.id)));
  }
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (isDatabaseAway(error)) {
    return new Problem('unavailable', sayAway(error), { retryAfterSeconds: 5, cause: error });
  }
  if (isPassing(error)) {
    return new Problem('unavailable', 'The database is busy with other work.', { retryAfterSeconds: 5, cause: error });
  }
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  const known = typeof code === 'string' ? FASTIFY_CODES[code] : undefined;
  if (known) return new Problem(known.code, known.detail, { cause: error });
  const status = error instanceof HttpException ? error.getStatus() : statusCode;
  const fallback = typeof status === 'number' ? fallbackOf(status) : undefined;
  if (fallback === 'not_found') return new Problem('not_found', NOTHING_THERE);
  if (fallback)
    return new Problem(fallback, DETAILS[fallback] ?? 'The request could not be processed.', { cause: error });
  return new Problem('internal_error', 'Something unexpected happened.', { cause: error });
}

/** What a framework calls a client's fault is never ours. */
function fallbackOf(status: number): ProblemCode | undefined {
  return STATUS_FALLBACK[status] ?? (status >= 400 && status < 500 ? 'validation_failed' : undefined);
}
