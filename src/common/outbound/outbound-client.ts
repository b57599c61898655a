import { isIP } from 'node:net';
import { AttemptDeadline } from './attempt-deadline.js';
import { bareHost, checkCallbackUrl, type CallbackPolicy } from './callback-url.js';
import { createSystemLookup, type AddressLookup } from './dns-lookup.js';
import { OriginPools, type OriginPool } from './origin-pool.js';
import type { OutboundConnection } from './outbound-connection.js';
import { errorCode, OutboundFailure, type OutboundOutcome, type OutboundPhases } from './outbound-outcome.js';
import { requestHeaders } from './request-headers.js';
import { ResponseReader } from './response-reader.js';
import { VettedResolver } from './vetted-resolver.js';

export type { OutboundErrorClass, OutboundOutcome, OutboundPhases } from './outbound-outcome.js';

export interface OutboundClientOptions {
  readonly policy: Omit<CallbackPolicy, 'allowedHosts'>;
  /** Wall clock of one attempt, from `post` to the headers of the response, in milliseconds. */
  readonly timeoutMs: number;
  /** Requests under way to one scheme, host and port; more wait, on their own clock. */
  readonly connectionsPerOrigin: number;
  readonly userAgent: string;
  /** Instead of DNS. Not asked about addresses and localhost names. */
  readonly lookup?: AddressLookup;
  /** Milliseconds for which vetted addresses are used again; 0 asks for every attempt. Default 5,000. */
  readonly dnsTtlMs?: number;
  /** Origins whose connections are kept at once. Default 256. */
  readonly maxOrigins?: number;
  /**
   * What a body may take once the status is known, in milliseconds. A receiver that names no length and keeps the connection
   * open, as simple servers do, would else cost the whole wall clock each time. Default 500.
   */
  readonly bodyPatienceMs?: number;
  /** Certificates to trust instead of the system's; for tests. */
  readonly ca?: string | Buffer;
}

export interface OutboundRequest {
  readonly url: string;
  /** Without those that HTTP itself needs (Host, Content-Length, Connection …): these are dropped here. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
  /** The tenant's `callback_allowed_hosts`; empty allows any. */
  readonly allowedHosts: readonly string[];
}

const DEFAULT_DNS_TTL_MS = 5_000;
const DEFAULT_MAX_ORIGINS = 256;
const DEFAULT_BODY_PATIENCE_MS = 500;
const SWEEP_INTERVAL_MS = 10_000;
const MAX_IDLE_MS = 30_000;
/** Addresses tried within one attempt, and what one may take as long as there is another. */
const MAX_ADDRESSES = 4;
const CONNECT_SHARE_MS = 3_000;

type MutablePhases = { -readonly [Phase in keyof OutboundPhases]: OutboundPhases[Phase] };

/** What an attempt has come to so far; part of its outcome, whatever that is. */
interface Trace {
  readonly phases: MutablePhases;
  requestHeaders?: Readonly<Record<string, string>>;
}

/**
 * Sends callbacks (contract section 7) and nothing else: POST over HTTP/1.1 with keep-alive, to addresses vetted for the
 * very attempt (invariant 12), within one wall clock. No redirects, cookies, proxies or decompression.
 */
export class OutboundClient {
  private readonly resolver: VettedResolver;
  private readonly pools: OriginPools;
  private readonly sweep: NodeJS.Timeout;
  private underWay = 0;
  private drained: (() => void) | null = null;
  private closing: Promise<void> | null = null;

  constructor(private readonly options: OutboundClientOptions) {
    const { policy, lookup = createSystemLookup(), dnsTtlMs: ttlMs = DEFAULT_DNS_TTL_MS } = options;
    this.resolver = new VettedResolver({ lookup, allowedCidrs: policy.allowedCidrs, ttlMs });
    this.pools = new OriginPools(options.maxOrigins ?? DEFAULT_MAX_ORIGINS, options.connectionsPerOrigin, options.ca);
    this.sweep = setInterval(() => this.pools.closeIdle(performance.now() - MAX_IDLE_MS), SWEEP_INTERVAL_MS).unref();
  }

  /**
   * Makes one attempt. Whatever the receiver does is an outcome; whether a status is a success is the caller's to say.
   *
   * @throws Error when the client is closed: nothing was attempted
   */
  async post(request: OutboundRequest): Promise<OutboundOutcome> {
    const phases: MutablePhases = { dns: null, connect: null, tls: null, firstByte: null, total: 0 };
    const trace: Trace = { phases };
    if (this.closing !== null) throw new Error('the client for callbacks is closed');
    const deadline = new AttemptDeadline(this.options.timeoutMs);
    this.underWay++;
    try {
      const reader = await this.attempt(request, deadline, trace);
      phases.total = tenths(deadline.elapsedMs);
      return answered(reader, trace);
    } catch (error) {
      phases.total = tenths(deadline.elapsedMs);
      return failed(error, trace);
    } finally {
      deadline.dispose();
      this.underWay--;
      if (this.underWay === 0) this.drained?.();
    }
  }

  /** Refuses new attempts, waits for those under way (their wall clock bounds it), closes all connections. */
  close(): Promise<void> {
    this.closing ??= this.drain();
    return this.closing;
  }

  private async drain(): Promise<void> {
    clearInterval(this.sweep);
    if (this.underWay > 0) await new Promise<void>((resolve) => (this.drained = resolve));
    this.pools.closeIdle(Infinity);
  }

  private async attempt(request: OutboundRequest, deadline: AttemptDeadline, trace: Trace): Promise<ResponseReader> {
    const { phases } = trace;
    const verdict = checkCallbackUrl(request.url, { ...this.options.policy, allowedHosts: request.allowedHosts });
    if (!verdict.ok) throw new OutboundFailure('forbidden_address', `the URL ${verdict.reason}`);
    const { url } = verdict;
    const headers = requestHeaders(url, request.headers, request.body, this.options.userAgent);
    trace.requestHeaders = headers;
    const host = bareHost(url);
    const addresses = this.resolver.known(host) ?? (await this.resolve(host, deadline, phases));
    const pool = this.pools.of(url, isIP(host) === 0 ? host : '');
    if (!pool.tryEnter()) await enterInTime(pool, deadline);
    try {
      const sending = { url, headers, body: request.body, pool, deadline, phases };
      return await this.sendToFirstThatConnects(sending, addresses);
    } finally {
      pool.leave();
    }
  }

  private async resolve(name: string, deadline: AttemptDeadline, phases: MutablePhases): Promise<readonly string[]> {
    const askedAtMs = performance.now();
    try {
      return await deadline.race(this.resolver.ask(name), 'address of the host');
    } finally {
      phases.dns = tenths(performance.now() - askedAtMs);
    }
  }

  /** An address that does not accept a connection has seen nothing of the request: the next one may have it. */
  private async sendToFirstThatConnects(sending: Sending, addresses: readonly string[]): Promise<ResponseReader> {
    let untried = addresses.slice(0, MAX_ADDRESSES);
    for (;;) {
      const connection = sending.pool.connectionTo(untried);
      untried = untried.filter((address) => address !== connection.address);
      try {
        return await this.send(sending, connection, untried.length > 0);
      } catch (error) {
        const connectFailed = error instanceof OutboundFailure && error.errorClass === 'connect';
        if (!connectFailed || untried.length === 0) throw error;
      }
    }
  }

  private send(sending: Sending, connection: OutboundConnection, hasNext: boolean): Promise<ResponseReader> {
    const { url, headers, body, pool, deadline, phases } = sending;
    return new Promise((resolve, reject) => {
      const reader = new ResponseReader(
        (failure, reusable) => {
          deadline.onStop(null);
          recordPhases(phases, connection, reader);
          if (reusable) pool.putBack(connection, performance.now());
          else connection.destroy();
          if (failure === null) resolve(reader);
          else reject(failure);
        },
        () => deadline.lateness(),
        () => deadline.endWithin(this.options.bodyPatienceMs ?? DEFAULT_BODY_PATIENCE_MS),
      );
      deadline.onStop(
        (failure) => reader.interrupt(failure),
        () => connection.awaited,
      );
      const connectTimeoutMs = hasNext ? Math.min(CONNECT_SHARE_MS, deadline.remainingMs / 2) : undefined;
      const path = url.pathname + url.search;
      connection.dispatch({ method: 'POST', path, headers, body }, reader, connectTimeoutMs);
    });
  }
}

/** What belongs to one attempt once its addresses are known. */
interface Sending {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly body: string | Buffer;
  readonly pool: OriginPool;
  readonly deadline: AttemptDeadline;
  readonly phases: MutablePhases;
}

function enterInTime(pool: OriginPool, deadline: AttemptDeadline): Promise<void> {
  const cameAtMs = performance.now();
  return new Promise((resolve, reject) => {
    const leaveLine = pool.enterLater(() => {
      deadline.inLineMs = performance.now() - cameAtMs;
      deadline.onStop(null);
      resolve();
    });
    const giveUp = (failure: OutboundFailure): void => {
      leaveLine();
      reject(failure);
    };
    deadline.onStop(giveUp, () => 'free connection');
  });
}

function recordPhases(phases: MutablePhases, connection: OutboundConnection, reader: ResponseReader): void {
  const { handshakes } = connection;
  if (handshakes !== null) {
    phases.connect = handshakes.connectMs === null ? null : tenths(handshakes.connectMs);
    phases.tls = handshakes.tlsMs === null ? null : tenths(handshakes.tlsMs);
  }
  if (reader.sentAtMs !== null && reader.headersAtMs !== null) {
    phases.firstByte = tenths(reader.headersAtMs - reader.sentAtMs);
  }
}

function answered(reader: ResponseReader, trace: Trace): OutboundOutcome {
  const { status, retryAfter } = reader;
  const answer = { status, retryAfter, bodyExcerpt: reader.bodyExcerpt(), ...trace };
  if (status < 300 || status > 399) return { kind: 'response', ...answer };
  return { kind: 'error', errorClass: 'redirect', message: `redirects are not followed (${status})`, ...answer };
}

function failed(error: unknown, trace: Trace): OutboundOutcome {
  // Anything else is a fault of ours; the attempt is over either way, and its text may hold parts of the URL.
  const failure =
    error instanceof OutboundFailure
      ? error
      : new OutboundFailure('http', `the attempt broke off (${errorCode(error)})`);
  const { errorClass, message } = failure;
  return { kind: 'error', errorClass, message, ...trace };
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
