import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Readable } from 'node:stream';
import { CONFIG, type Config } from '../../common/config/config.js';
import { Draining } from '../../common/draining.js';
import { Problem } from '../../common/errors/problem.js';
import { RequestLog } from '../../common/http/request-log.js';
import { StreamedReply } from '../../common/http/streamed-reply.js';
import { Logger } from '../../common/logging/logger.js';
import { Occupancy } from '../../common/loops/occupancy.js';
import { Metrics } from '../../common/metrics.js';
import { isPassing } from '../../common/prisma/database-errors.js';
import type { CurrentTenant } from '../tenants/auth.guard.js';
import { Authenticator } from '../tenants/authenticator.js';
import { readLastEventId } from './event-resource.js';
import { EventStream, type StreamEnd } from './event-stream.js';
import type { JobKind } from './job-record.js';
import { isTerminal } from './job-state.js';
import { JobWatch } from './job-watch.js';
import { JobsStore } from './jobs.store.js';
import { TenantPaceStore } from './polling/tenant-pace.store.js';

/** Streams of a tenant that this process holds open. */
const MOST_A_TENANT = 100;
const RETRY_AFTER_S = 5;
/** Looks at TensorPix are hurried for so long, and again well before that is over. */
const HURRY_MS = 30_000;
const HURRY_AGAIN_MS = 10_000;

/** An open stream and the answer that it is. */
interface Open {
  stream: EventStream;
  reply: StreamedReply;
  isAdmitted: () => Promise<boolean>;
  /** its key is being asked about */
  checking: boolean;
}

/**
 * The event streams of this process (contract, section 4): who may have one, and when it is over. Once a second each is
 * looked at, whether or not its reader takes anything: is the key still good (with the three seconds of the key directory
 * that is less than the five of section 3), and is the reader still there.
 */
@Injectable()
export class EventStreams implements OnModuleDestroy {
  /** Milliseconds. */
  readonly times = {
    keepAlive: 15_000,
    inspection: 1_000,
    /** a reader that takes nothing for so long is dropped */
    stalled: 30_000,
    /** what was written before the end of a stream may take so long to leave */
    lastWords: 1_000,
  };
  private readonly open = new Set<Open>();
  private readonly perTenant = new Occupancy();
  /** When the looks of a tenant are to be hurried again. */
  private readonly hurryAtMs = new Map<string, number>();
  private inspecting: NodeJS.Timeout | null = null;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly jobs: JobsStore,
    private readonly watch: JobWatch,
    private readonly authenticator: Authenticator,
    private readonly pace: TenantPaceStore,
    private readonly draining: Draining,
    private readonly requestLog: RequestLog,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {
    draining.onBegin(() => this.endAll());
  }

  onModuleDestroy(): void {
    this.endAll();
    if (this.inspecting) clearInterval(this.inspecting);
  }

  /**
   * What to send to this reader; null when the job has ended and the reader has seen everything.
   * @throws Problem 400, 404, 429 `rate_limited`
   */
  async openFor(
    tenant: CurrentTenant,
    kind: JobKind,
    id: string,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Readable | null> {
    const lastEventId = readLastEventId(request.raw.headersDistinct['last-event-id']);
    const { job } = await this.jobs.get(tenant.id, kind, id);
    // A number that no event has yet is not waited for: the reader has then seen everything so far.
    const seen = Math.min(lastEventId, job.sequence);
    if (isTerminal(job.status) && seen === job.sequence) return null;
    if (this.draining.begun) throw new Problem('unavailable', 'This replica is shutting down.');
    if (this.perTenant.of(tenant.id) >= MOST_A_TENANT) throw tooMany();
    const { authorization } = request.headers;
    const isAdmitted = () =>
      this.authenticator.stillAdmits(authorization, `${kind === 'video' ? 'jobs' : 'images'}:read`);
    const onError = (error: unknown) => this.report(error, id);
    const sources = { jobs: this.jobs, watch: this.watch, isAdmitted, onError };
    const stream = new EventStream({ tenantId: tenant.id, id }, { standing: job, seen }, sources, this.times.keepAlive);
    this.hold(stream, isAdmitted, request, reply);
    return stream.body;
  }

  private hold(
    stream: EventStream,
    isAdmitted: Open['isAdmitted'],
    request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    const { tenantId, id } = stream.job;
    const onOver = (): void => {
      this.open.delete(open);
      this.perTenant.leave(tenantId);
      stream.end('reader_gone');
      stream.body.destroy();
      const reason = stream.endedBy ?? 'reader_gone';
      this.metrics.eventStreams.dec();
      this.metrics.eventStreamsEnded.inc({ reason });
      this.requestLog.streamEnded(request, reply, { job_id: id, events: stream.sent, ended_by: reason });
    };
    const open: Open = { stream, reply: new StreamedReply(request, reply, onOver), isAdmitted, checking: false };
    this.open.add(open);
    this.perTenant.enter(tenantId);
    this.metrics.eventStreams.inc();
    this.requestLog.streamBegins(reply);
    void this.hurryLooks();
    this.inspecting ??= setInterval(() => this.inspect(), this.times.inspection).unref();
  }

  private inspect(): void {
    for (const open of this.open) {
      open.reply.noticeEnd();
      if (open.stream.stalledMs > this.times.stalled) this.end(open, 'stalled');
      else if (open.stream.endedBy === null && !open.checking) void this.checkKey(open);
    }
    void this.hurryLooks();
    if (this.open.size > 0 || !this.inspecting) return;
    clearInterval(this.inspecting);
    this.inspecting = null;
  }

  /** While the database is away nobody knows, and there is nothing to send either. */
  private async checkKey(open: Open): Promise<void> {
    open.checking = true;
    try {
      if (!(await open.isAdmitted())) this.end(open, 'key_ended');
    } catch (error) {
      if (!isPassing(error)) this.report(error, open.stream.job.id);
    } finally {
      open.checking = false;
    }
  }

  private endAll(): void {
    for (const open of [...this.open]) this.end(open, 'draining');
  }

  /** A reader that does not take what is left is not waited for: it would hold up a drain, and it holds memory. */
  private end({ stream, reply }: Open, reason: StreamEnd): void {
    const wasStalled = reason === 'stalled';
    stream.end(reason);
    setTimeout(() => reply.drop(), wasStalled ? 0 : this.times.lastWords).unref();
  }

  /** As `Prefer: wait` does it, but once a tenant, and for as long as a stream of a job at TensorPix is open. */
  private async hurryLooks(): Promise<void> {
    const followed = [...this.open].filter(({ stream }) => stream.isAtTensorpix && stream.endedBy === null);
    const tenants = new Set(followed.map(({ stream }) => stream.job.tenantId));
    for (const tenantId of this.hurryAtMs.keys()) if (!tenants.has(tenantId)) this.hurryAtMs.delete(tenantId);
    for (const tenantId of tenants) {
      if ((this.hurryAtMs.get(tenantId) ?? 0) > performance.now()) continue;
      this.hurryAtMs.set(tenantId, performance.now() + HURRY_AGAIN_MS);
      await this.pace.hurry(tenantId, HURRY_MS, this.config.pollMinIntervalMs).catch((error: unknown) => {
        if (!isPassing(error)) this.logger.error({ err: error, tenant_id: tenantId }, 'looks could not be hurried');
      });
    }
  }

  private report(error: unknown, jobId: string): void {
    this.logger.error({ err: error, job_id: jobId }, 'an event stream failed');
  }
}

function tooMany(): Problem {
  const detail = `This tenant has ${MOST_A_TENANT} event streams open here.`;
  return new Problem('rate_limited', detail, { retryAfterSeconds: RETRY_AFTER_S });
}
