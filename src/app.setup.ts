import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { AppModule } from './app.module.js';
import { openApiDocument, serveDocs } from './app.openapi.js';
import type { Config } from './common/config/config.js';
import { CanaryStore } from './common/crypto/canary.store.js';
import { Draining } from './common/draining.js';
import { Problem, type ProblemCode } from './common/errors/problem.js';
import { ProblemFilter } from './common/errors/problem.filter.js';
import { BODY_LIMIT_BYTES, registerBodyParsers } from './common/http/body-parsers.js';
import { registerRequestContext, requestIdOf } from './common/http/request-context.js';
import type { Logger } from './common/logging/logger.js';
import { LoopRunner } from './common/loops/loop-runner.js';
import { Metrics } from './common/metrics.js';
import { SubmissionService } from './modules/jobs/submission.service.js';

const MAX_HEADER_BYTES = 16_384;

/**
 * The whole application, ready to listen: what main and the tests both use.
 * @throws ConfigError when the encryption keys are not those of the database
 */
export async function createApp(config: Config, logger: Logger): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    logger: false,
    bodyLimit: BODY_LIMIT_BYTES,
    http: { maxHeaderSize: MAX_HEADER_BYTES },
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
  const fastify = app.getHttpAdapter().getInstance();
  registerRequestContext(fastify, { logger, metrics: app.get(Metrics), draining: app.get(Draining) });
  registerBodyParsers(fastify);
  serveDocs(app, openApiDocument(app));
  await app.get(CanaryStore).verify();
  await app.init();
  await fastify.ready();
  return app;
}

/** Stops claiming, lets requests and calls under way end, and closes everything. */
export async function shutDown(app: NestFastifyApplication): Promise<void> {
  app.get(Draining).begin();
  await app.get(LoopRunner).stopAll();
  await app.getHttpAdapter().getInstance().close();
  await app.get(SubmissionService).drain();
  await app.close();
}

/** What Node's parser refuses before there is a request: headers over 16 kB, broken HTTP, a request that never ends. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  const [code, detail]: [ProblemCode, string] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['headers_too_large', 'The headers are larger than 16 kB.']
      : ['validation_failed', 'This is not a valid HTTP request.'];
  const problem = new Problem(code, detail);
  const requestId = randomUUID();
  const body = JSON.stringify(problem.toBody(requestId));
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${problem.toBody(requestId).title}`,
      'content-type: application/problem+json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${requestId}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
