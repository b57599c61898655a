import { Pool, type Dispatcher } from 'undici';
import { webhookHeaders } from '../../src/modules/webhooks/signature.js';
import type { Delivery } from './delivery.js';
import { ATTEMPT_TIMEOUT_MS, IN_FLIGHT } from './settings.js';

/**
 * Signs and POSTs as the gateway does: its own signature, undici's `dispatch` over keep-alive connections, one request at a
 * time on each, one wall clock for the attempt. It records nothing and vets no address.
 */
export class WebhookSender {
  private readonly pools = new Map<string, Pool>();

  constructor(private readonly secret: string) {}

  /** @throws when the receiver does not answer with 2xx in time */
  async send({ id, url, body }: Delivery): Promise<void> {
    const { origin, pathname } = new URL(url);
    const headers = webhookHeaders(id, Math.floor(Date.now() / 1_000), body, [this.secret]);
    const status = await post(this.poolOf(origin), { method: 'POST', path: pathname, headers, body });
    if (status < 200 || status > 299) throw new Error(`the receiver answered ${status}`);
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    await Promise.all([...this.pools.values()].map((pool) => pool.destroy()));
    this.pools.clear();
  }

  private poolOf(origin: string): Pool {
    const known = this.pools.get(origin);
    if (known) return known;
    // Never fewer connections than attempts: what waited in a pool would be given up without having been sent.
    const pool = new Pool(origin, { connections: IN_FLIGHT, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
    this.pools.set(origin, pool);
    return pool;
  }
}

function post(pool: Pool, options: Dispatcher.DispatchOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let controller: Dispatcher.DispatchController | undefined;
    let timeout: Error | undefined;
    const timer = setTimeout(() => {
      timeout = new Error(`no answer within ${ATTEMPT_TIMEOUT_MS} ms`);
      controller?.abort(timeout);
      reject(timeout);
    }, ATTEMPT_TIMEOUT_MS);
    const settle = (then: () => void): void => {
      clearTimeout(timer);
      then();
    };
    pool.dispatch(options, {
      onRequestStart: (started) => {
        controller = started;
        if (timeout) started.abort(timeout);
      },
      onResponseStart: (_, statusCode) => void (status = statusCode),
      onResponseData: () => undefined,
      onResponseEnd: () => settle(() => resolve(status)),
      onResponseError: (_, error) => settle(() => reject(error)),
    });
  });
}
