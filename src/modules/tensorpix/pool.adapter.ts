import { AxiosHeaders, type AxiosAdapter, type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { type Dispatcher, type Pool } from 'undici';

/** Largest answer that is read; pages of the job list stay well below. Bytes. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** What is read of an answer's headers; the others are not handed on. */
const READ_HEADERS = ['date', 'retry-after'];

/**
 * A call that got no complete answer. `sent` is the fact on which money hangs: false means that not one byte of the
 * request was written, so it may be repeated; true means that TensorPix may have acted on it.
 */
export class TransportError extends Error {
  constructor(
    readonly reason: 'timeout' | 'connection' | 'answer_too_large' | 'too_late',
    readonly sent: boolean,
    options: { cause?: unknown } = {},
  ) {
    super(`${reason} ${sent ? 'after' : 'before'} sending`, options);
    this.name = 'TransportError';
  }
}

/**
 * Asked right before the first byte of a request is written: whether it may be, although it can take so long. It may have
 * waited for a connection, and the process may have stood still, since it was given away. Milliseconds.
 */
export type MayStart = (longestMs: number) => boolean;

/**
 * Carries axios' requests over an undici pool. Axios' own adapter cannot tell whether a request was written before
 * its connection broke, follows redirects in a package of its own, and costs eight times as much. This one repeats
 * nothing, follows nothing, and puts one wall clock (`timeout`, milliseconds) over queueing, connecting, sending and
 * reading.
 *
 * @param headers of this request. Given here, because axios would merge, check and normalise each one, which costs half of all
 *   that it does for a call; and so the token never stands in a configuration that axios hands on.
 * @param mayStart when it says no, nothing is written
 */
export function poolAdapter(
  pool: Pool,
  headers: Record<string, string>,
  mayStart: MayStart = () => true,
): AxiosAdapter {
  return (config) =>
    new Promise((resolve, reject) => {
      const exchange = new Exchange(config, mayStart, resolve, reject);
      try {
        pool.dispatch(requestOptions(config, headers), exchange);
      } catch (error) {
        exchange.fail('connection', error);
      }
    });
}

function requestOptions(
  config: InternalAxiosRequestConfig,
  headers: Record<string, string>,
): Dispatcher.DispatchOptions {
  return {
    path: config.url ?? '/',
    method: (config.method ?? 'get').toUpperCase(),
    headers,
    body: (config.data as string | undefined) ?? null,
  };
}

/** One request and what became of it. It settles exactly once. */
class Exchange implements Dispatcher.DispatchHandler {
  private controller: Dispatcher.DispatchController | undefined;
  private status = 0;
  private readonly headers = new AxiosHeaders();
  private readonly chunks: Buffer[] = [];
  private size = 0;
  private settled = false;
  private readonly clock: NodeJS.Timeout;
  private readonly endsAtMs: number;

  constructor(
    private readonly config: InternalAxiosRequestConfig,
    private readonly mayStart: MayStart,
    private readonly resolve: (response: AxiosResponse) => void,
    private readonly reject: (error: TransportError) => void,
  ) {
    const { timeout = 0 } = config;
    this.endsAtMs = performance.now() + timeout;
    this.clock = setTimeout(() => this.fail('timeout'), timeout);
  }

  /** Called when the request has its connection and is about to be written: from here on it counts as sent. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (!this.settled && !this.mayStart(Math.max(0, this.endsAtMs - performance.now()))) this.fail('too_late');
    // It was given up while it waited for a connection: it must not be written any more.
    if (this.settled) controller.abort(new Error('expired before sending'));
    else this.controller = controller;
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.status = status;
    for (const name of READ_HEADERS) this.headers.set(name, headers[name]);
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.size += chunk.length;
    if (this.size > MAX_ANSWER_BYTES) this.fail('answer_too_large');
    else this.chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (!this.settle()) return;
    this.resolve({
      data: Buffer.concat(this.chunks).toString('utf8'),
      status: this.status,
      statusText: '',
      headers: this.headers,
      config: this.config,
    });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.fail('connection', error);
  }

  fail(reason: TransportError['reason'], cause?: unknown): void {
    const { controller } = this;
    if (!this.settle()) return;
    const error = new TransportError(reason, controller !== undefined, { cause });
    this.reject(error);
    controller?.abort(error);
  }

  private settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    clearTimeout(this.clock);
    return true;
  }
}
