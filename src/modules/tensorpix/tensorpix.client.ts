import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Axios } from 'axios';
import { Pool } from 'undici';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Metrics } from '../../common/metrics.js';
import {
  readBalance,
  readCreatedJob,
  readEnhancedImage,
  readEnhancedVideoPage,
  readInputVideoPage,
  readJobPage,
  readShownJob,
  type CreatedJob,
  type EnhancedImage,
  type EnhancedVideo,
  type InputVideo,
  type ShownJob,
  type UpstreamPage,
} from './answers.js';
import { safeAnswerText } from './answer-text.js';
import { classifyAnswer, classifyFailure, type CallOutcome } from './call-outcome.js';
import { Circuits, healthOf, type CallHealth } from './circuits.js';
import { SharedCircuit } from './shared-circuit.js';
import { poolAdapter, TransportError, type MayStart } from './pool.adapter.js';

/** Calls take seconds, so that many are under way at once. Beyond this they wait, within their wall clock. */
const CONNECTIONS = 256;
const CONNECT_TIMEOUT_MS = 10_000;

interface Call<T> {
  operation: string;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** Plain text of the tenant's token: in memory for this call only. */
  token: string;
  body?: unknown;
  mayStart?: MayStart;
  parse: (json: unknown) => T | null;
}

/**
 * TensorPix over HTTP (its documents, API 1.1.0). Every method makes exactly one call, never throws for what TensorPix
 * or the network does, and repeats nothing. The token goes to the configured origin only.
 */
@Injectable()
export class TensorpixClient implements OnModuleDestroy {
  private readonly pool: Pool;
  private readonly http: Axios;
  private readonly circuits: Circuits;

  constructor(
    @Inject(CONFIG) config: Config,
    sharedCircuit: SharedCircuit,
    private readonly metrics: Metrics,
  ) {
    this.circuits = new Circuits(sharedCircuit.breaker);
    this.pool = new Pool(config.tensorpixBaseUrl, {
      connections: CONNECTIONS,
      pipelining: 1,
      connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, config.tensorpixTimeoutMs / 2) },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    // Without the defaults of `axios.create`, none of which our adapter knows: merging them into each call costs more than
    // all else that axios does for it. Bodies and answers are text, and every status is an answer.
    this.http = new Axios({ timeout: config.tensorpixTimeoutMs });
  }

  /** `POST /api/jobs/from-url/`: starts a job, which is charged. */
  enhanceVideo(token: string, input: object, mayStart?: MayStart): Promise<CallOutcome<CreatedJob>> {
    return this.call({
      operation: 'enhance_video',
      method: 'POST',
      path: '/api/jobs/from-url/',
      token,
      body: input,
      ...(mayStart && { mayStart }),
      parse: readCreatedJob,
    });
  }

  /** `POST /api/images/enhance/from-url/`: synchronous; charged unless watermarked. */
  enhanceImage(token: string, input: object, mayStart?: MayStart): Promise<CallOutcome<EnhancedImage>> {
    return this.call({
      operation: 'enhance_image',
      method: 'POST',
      path: '/api/images/enhance/from-url/',
      token,
      body: input,
      ...(mayStart && { mayStart }),
      parse: readEnhancedImage,
    });
  }

  /** `GET /api/jobs/`: one page, `limit` and `offset` in jobs. */
  listJobs(token: string, limit: number, offset: number): Promise<CallOutcome<UpstreamPage<ShownJob>>> {
    return this.call({
      operation: 'list_jobs',
      method: 'GET',
      path: `/api/jobs/?limit=${limit}&offset=${offset}`,
      token,
      parse: readJobPage,
    });
  }

  /** `GET /api/jobs/{id}/` */
  getJob(token: string, id: number): Promise<CallOutcome<ShownJob>> {
    return this.call({ operation: 'get_job', method: 'GET', path: `/api/jobs/${id}/`, token, parse: readShownJob });
  }

  /** `GET /api/jobs/history/{id}/`: where an ended job may have gone; its status is a word there. */
  getHistoryJob(token: string, id: number): Promise<CallOutcome<ShownJob>> {
    return this.call({
      operation: 'get_history_job',
      method: 'GET',
      path: `/api/jobs/history/${id}/`,
      token,
      parse: readShownJob,
    });
  }

  /** `GET /api/videos/`: one page of the input videos, those that were given by URL included. */
  listInputVideos(token: string, limit: number, offset: number): Promise<CallOutcome<UpstreamPage<InputVideo>>> {
    const path = `/api/videos/?limit=${limit}&offset=${offset}`;
    return this.call({ operation: 'list_videos', method: 'GET', path, token, parse: readInputVideoPage });
  }

  /** `GET /api/restored-videos/`: one page of the results. */
  listEnhancedVideos(token: string, limit: number, offset: number): Promise<CallOutcome<UpstreamPage<EnhancedVideo>>> {
    const path = `/api/restored-videos/?limit=${limit}&offset=${offset}`;
    return this.call({ operation: 'list_results', method: 'GET', path, token, parse: readEnhancedVideoPage });
  }

  /** `DELETE /api/jobs/{id}/`: cancels. */
  cancelJob(token: string, id: number): Promise<CallOutcome<true>> {
    return this.call({ operation: 'cancel_job', method: 'DELETE', path: `/api/jobs/${id}/`, token, parse: () => true });
  }

  /** `GET /api/accounts/profile/balance/`: Credits left, as decimal text. */
  getBalance(token: string): Promise<CallOutcome<string>> {
    return this.call({
      operation: 'get_balance',
      method: 'GET',
      path: '/api/accounts/profile/balance/',
      token,
      parse: readBalance,
    });
  }

  async onModuleDestroy(): Promise<void> {
    await this.pool.destroy();
  }

  private async call<T>(call: Call<T>): Promise<CallOutcome<T>> {
    const passage = this.circuits.enter(call.token);
    if ('waitMs' in passage) return { kind: 'not_sent', reason: 'circuit_open', retryAfterMs: passage.waitMs };
    const startMs = performance.now();
    let health: CallHealth = 'unclear';
    try {
      const outcome = await this.exchange(call);
      health = healthOf(outcome);
      this.note(call.operation, outcome, (performance.now() - startMs) / 1000);
      return outcome;
    } finally {
      this.circuits.leave(passage, health);
      this.metrics.tokenCircuitsOpen.set(this.circuits.openTokens);
    }
  }

  private note(operation: string, outcome: CallOutcome<unknown>, seconds: number): void {
    const label = outcome.kind === 'refused' ? outcome.refusal.reason : outcome.kind;
    this.metrics.upstreamCalls.observe({ operation, outcome: label }, seconds);
  }

  private async exchange<T>({ method, path, token, body, mayStart, parse }: Call<T>): Promise<CallOutcome<T>> {
    try {
      const response = await this.http.request<string>({
        method,
        url: path,
        adapter: poolAdapter(
          this.pool,
          {
            accept: 'application/json',
            'user-agent': 'tensorpix-gateway',
            authorization: `Token ${token}`,
            ...(body !== undefined && { 'content-type': 'application/json' }),
          },
          mayStart,
        ),
        ...(body !== undefined && { data: JSON.stringify(body) }),
      });
      const retryAfter: unknown = response.headers['retry-after'];
      const date: unknown = response.headers.date;
      return classifyAnswer(
        {
          status: response.status,
          body: safeAnswerText(response.data, token),
          retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
          date: typeof date === 'string' ? date : undefined,
        },
        parse,
      );
    } catch (error) {
      if (error instanceof TransportError) return classifyFailure(error);
      throw error;
    }
  }
}
