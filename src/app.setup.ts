import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import { AppModule } from './app.module.js';
import { serveDocs } from './app.openapi.js';
import { ConfigError, type Config } from './common/config/config.js';
import { CanaryStore } from './common/crypto/canary.store.js';
import { Draining } from './common/draining.js';
import { Problem } from './common/errors/problem.js';
import { ProblemFilter } from './common/errors/problem.filter.js';
import { BODY_LIMIT_BYTES, registerBodyParsers } from './common/http/body-parsers.js';
import { GracefulClose } from './common/http/graceful-close.js';
import { registerRequestContext, requestIdOf } from './common/http/request-context.js';
import { RequestLog } from './common/http/request-log.js';
import type { Logger } from './common/logging/logger.js';
import { LoopRunner } from './common/loops/loop-runner.js';
import { Metrics } from './common/metrics.js';
import { isMissingTable } from './common/prisma/database-errors.js';
import { registerAuthentication } from './modules/tenants/auth.guard.js';
import { Authenticator } from './modules/tenants/authenticator.js';
import { JobCancelService } from './modules/jobs/job-cancel.service.js';
import { SubmissionService } from './modules/jobs/submission.service.js';
import { TenantsStore } from './modules/tenants/tenants.store.js';
import { WebhookEndpointsStore } from './modules/webhooks/webhook-endpoints.store.js';
import { WebhookSecretsStore } from './modules/webhooks/webhook-secrets.store.js';

const MAX_HEADER_BYTES = 16_384;
/** For a request to arrive. Milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTION_CHECK_MS = 5_000;

/**
 * The whole application, ready to listen: what main and the tests both use.
 * @throws ConfigError when the encryption keys are not those of the database
 */
export async function createApp(config: Config, logger: Logger): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      requireHostHeader: false,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTION_CHECK_MS,
    },
    genReqId: requestIdOf,
    requestIdHeader: false,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      filterOf()?.answer(error, request, reply),
    clientErrorHandler: answerClientError,
  });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.with(config, logger), adapter, {
    bodyParser: false,
    logger: logger.forNest(),
    abortOnError: false,
  });
  const filter = app.get(ProblemFilter);
  const filterOf = () => filter;
  app.useGlobalFilters(filter);
  logger.onDrop(() => app.get(Metrics).logLinesDropped.inc());
  const fastify = app.getHttpAdapter().getInstance();
  app.get(GracefulClose).watch(fastify);
  registerRequestContext(fastify, { requestLog: app.get(RequestLog), draining: app.get(Draining) });
  registerAuthentication(fastify, app.get(Authenticator));
  registerBodyParsers(fastify);
  fastify.server.on('checkExpectation', answerExpectation);
  serveDocs(app);
  try {
    await verifyKeys(app);
    await app.init();
    await fastify.ready();
  } catch (error) {
    // Why it cannot start is what counts.
    await shutDown(app).catch(() => undefined);
    throw error;
  }
  return app;
}

async function verifyKeys(app: NestFastifyApplication): Promise<void> {
  const stores = [app.get(TenantsStore), app.get(WebhookSecretsStore), app.get(WebhookEndpointsStore)];
  const isNeeded = async (keyId: string): Promise<boolean> =>
    (await Promise.all(stores.map((store) => store.hasSecretUnder(keyId)))).includes(true);
  try {
    await app.get(CanaryStore).verify(isNeeded);
  } catch (error) {
    if (!isMissingTable(error)) throw error;
    throw new ConfigError('DATABASE_URL leads to a database without the tables; run `npm run db:migrate` first');
  }
}

/** Stops claiming, lets requests and calls under way end, and closes everything. */
export async function shutDown(app: NestFastifyApplication): Promise<void> {
  app.get(Draining).begin();
  await app.get(LoopRunner).stopAll();
  await app.get(GracefulClose).close(app.getHttpAdapter().getInstance());
  await Promise.all([app.get(SubmissionService).drain(), app.get(JobCancelService).drain()]);
  await app.close();
}

/** What Node's parser refuses before there is a request: headers over 16 kB, broken HTTP, a request that never ends. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  // Whoever still waits for the answer to an earlier request on the connection would take this one for it.
  const { _httpMessage: waiting } = socket as { _httpMessage?: ServerResponse | null };
  if (waiting?.req.complete) return void socket.destroy();
  const problem = problemOfParser(error);
  const { head, body } = rawAnswer(problem, randomUUID());
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`, ...lines, '', body].join('\r\n'));
}

function problemOfParser({ code }: NodeJS.ErrnoException): Problem {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new Problem('headers_too_large', 'The headers are larger than 16 kB.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      // It may have been there all the time: a process that stood still, or has too much to do, did not read it.
      return new Problem(
        'unavailable',
        `The request did not arrive, or was not read, within ${REQUEST_TIMEOUT_MS / 1000} seconds.`,
        { retryAfterSeconds: 1 },
      );
    default:
      return new Problem('validation_failed', 'This is not a valid HTTP request.');
  }
}

/** `Expect` with anything but 100-continue (RFC 9110, section 10.1.1). */
function answerExpectation(request: IncomingMessage, response: ServerResponse): void {
  const problem = new Problem('expectation_failed', 'Only "Expect: 100-continue" is understood.');
  const { head, body } = rawAnswer(problem, requestIdOf(request));
  response.writeHead(problem.status, head).end(body);
}

function rawAnswer(problem: Problem, requestId: string): { head: Record<string, string>; body: string } {
  const body = JSON.stringify(problem.toBody(requestId));
  const head = {
    ...problem.headers(),
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    'x-request-id': requestId,
    connection: 'close',
  };
  return { head, body };
}
