import type { IncomingMessage, ServerResponse } from 'node:http';
import { OPERATIONS } from './api.js';
import { isBodyError, readBody, type BodyError, type DecodedBody } from './body.js';
import { handleControl } from './control-http.js';
import type { SimulatorControl } from './control.js';
import type { Fault, FaultBook } from './faults.js';
import { serveFile } from './presigned-urls.js';
import * as replies from './replies.js';
import type { Reply } from './replies.js';
import type { LoggedRequest } from './request-log.js';
import { findRoute } from './route.js';
import type { SimulatorState } from './state.js';

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  method: string;
  path: string;
  query: string;
  /** null: no `Authorization: Token …` header. */
  token: string | null;
  body: DecodedBody | BodyError;
  log: LoggedRequest | null;
}

const EMPTY_BODY: DecodedBody = { form: true, values: {}, files: {} };

/** Reads a request, applies a fault if one fits, does the work and answers. */
export class RequestHandler {
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(
    private readonly state: SimulatorState,
    private readonly faults: FaultBook,
    private readonly control: SimulatorControl,
  ) {}

  /** Forgets delayed answers. */
  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = openExchange(request, response);
    if (hasBody(request)) exchange.body = await readBody(request);
    if (exchange.path.startsWith('/_sim/')) return this.handleControl(exchange);
    this.log(exchange);
    const taken = this.faults.take(exchange.method, exchange.path, exchange.token);
    if (exchange.log !== null) exchange.log.fault = taken?.fault.kind ?? null;
    const { latencyMs } = this.state.options;
    if (latencyMs > 0) await this.pause(latencyMs);
    if (taken === null) return send(exchange, this.work(exchange));
    const reply = await this.workWithFault(exchange, taken.fault);
    if (reply === null) return;
    await taken.mayAnswer();
    if (reply === 'reset') reset(exchange);
    else send(exchange, reply);
  }

  private handleControl(exchange: Exchange): void {
    const { body } = exchange;
    if (isBodyError(body)) return send(exchange, replies.detail(400, body.text));
    send(exchange, handleControl(this.control, exchange.method, exchange.path, body));
  }

  /** The real answer, with its effects. */
  private work(exchange: Exchange): Reply {
    const { state } = this;
    const { method, path, query, token } = exchange;
    const nowMs = state.settledNowMs();
    const authorization = exchange.request.headers.authorization;
    if (path.startsWith('/_files/')) return serveFile(state, path, query, authorization !== undefined, nowMs);
    const route = findRoute(path);
    if (route === null) return this.unknownPath(exchange);
    const account = token === null ? null : state.accountBook.find(token);
    if (account === null) {
      return replies.unauthenticated(
        token === null ? 'Authentication credentials were not provided.' : 'Invalid token.',
      );
    }
    const operation = OPERATIONS[route.name]?.[method === 'HEAD' ? 'GET' : method];
    if (operation === undefined) return replies.detail(405, `Method "${method}" not allowed.`);
    const base = this.base(exchange.request);
    return operation({ state, account, id: route.id, path, query, base, nowMs, body: exchange.body });
  }

  /** Django's APPEND_SLASH: a GET is redirected, a request with a body fails. */
  private unknownPath({ method, path, query, request }: Exchange): Reply {
    if (path.endsWith('/') || findRoute(`${path}/`) === null) return replies.html(404, 'Not Found');
    if (method === 'GET' || method === 'HEAD') {
      const location = `${this.base(request)}${path}/${query === '' ? '' : `?${query}`}`;
      return { status: 301, body: '', contentType: 'text/html', headers: { location } };
    }
    const status = this.state.options.missingSlashStatus;
    return replies.html(status, status === 404 ? 'Not Found' : 'Server Error (500)');
  }

  private base(request: IncomingMessage): string {
    return this.state.options.publicUrl ?? `http://${request.headers.host ?? 'localhost'}`;
  }

  /** Null: no answer at all. */
  private async workWithFault(exchange: Exchange, fault: Fault): Promise<Reply | 'reset' | null> {
    switch (fault.kind) {
      case 'no_answer':
        return null;
      case 'no_answer_after_commit':
        this.work(exchange);
        return null;
      case 'reset':
        return 'reset';
      case 'reset_after_commit':
        this.work(exchange);
        return 'reset';
      case 'slow': {
        const early = fault.commit === true ? this.work(exchange) : null;
        await this.pause(fault.delay_ms ?? 1_000);
        return early ?? this.work(exchange);
      }
      case 'error_after_commit':
        this.work(exchange);
        return replies.detail(500, 'Internal server error.');
      case 'garbage': {
        const usual = exchange.method === 'POST' ? 201 : 200;
        const status = fault.commit === false ? usual : this.work(exchange).status;
        const body = typeof fault.body === 'string' ? fault.body : '{"id": 12, "cost_u';
        return { status: fault.status ?? status, body, contentType: 'application/json' };
      }
      case 'body':
        if (fault.commit === true) this.work(exchange);
        return literal(fault);
      default:
        return refusal(fault);
    }
  }

  /** Resolves after the delay; never, if the simulator is closed before. */
  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.timers.delete(timer);
        resolve();
      }, ms);
      this.timers.add(timer);
    });
  }

  private log(exchange: Exchange): void {
    const { requestLog, options, clock } = this.state;
    if (!requestLog.enabled) return;
    const { method, request, token, body } = exchange;
    exchange.log = requestLog.add({
      atMs: clock.nowMs(),
      method,
      path: request.url ?? '',
      tokenSuffix: token === null ? null : token.slice(-4),
      contentType: request.headers['content-type'] ?? null,
      status: null,
      fault: null,
      body: options.logBodies && !isBodyError(body) ? body.values : null,
    });
  }
}

function openExchange(request: IncomingMessage, response: ServerResponse): Exchange {
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const authorization = /^Token\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '');
  return {
    request,
    response,
    method: request.method ?? 'GET',
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? '' : url.slice(mark + 1),
    token: authorization?.[1] ?? null,
    body: EMPTY_BODY,
    log: null,
  };
}

function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return (length !== undefined && length !== '0') || request.headers['transfer-encoding'] !== undefined;
}

/** Faults that answer instead of doing the work. */
function refusal(fault: Fault): Reply {
  switch (fault.kind) {
    case 'rate_limited':
      return replies.throttled(fault.retry_after_s === undefined ? 1 : fault.retry_after_s, fault.header !== false);
    case 'bad_gateway':
      return replies.html(fault.status ?? 502, `${fault.status ?? 502} Bad Gateway`);
    case 'payment_required':
      return replies.noCredits(402);
    case 'no_credits_400':
      return replies.noCredits(400);
    case 'storage_400':
      return replies.storageFull();
    case 'unauthorized':
      return replies.unauthenticated('Invalid token.');
    case 'forbidden':
      return replies.detail(403, 'You do not have permission to perform this action.');
    default:
      return replies.detail(500, 'Internal server error.');
  }
}

function literal(fault: Fault): Reply {
  const text = typeof fault.body === 'string' ? fault.body : undefined;
  const body = text ?? (fault.body === undefined ? '' : JSON.stringify(fault.body));
  const contentType = text === undefined ? 'application/json' : 'text/plain';
  return { status: fault.status ?? 200, body, contentType, headers: fault.headers ?? {} };
}

function send({ response, log }: Exchange, reply: Reply): void {
  if (response.destroyed) return;
  if (log !== null) log.status = reply.status;
  if (reply.body === null) {
    response.writeHead(reply.status, reply.headers).end();
    return;
  }
  response
    .writeHead(reply.status, {
      'content-type': reply.contentType,
      'content-length': Buffer.byteLength(reply.body),
      ...reply.headers,
    })
    .end(reply.body);
}

function reset({ request }: Exchange): void {
  request.socket.resetAndDestroy();
}
