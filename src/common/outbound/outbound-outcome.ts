/**
 * Milliseconds of the parts of an attempt. Null for a part that was not needed, not reached or not ended: in the last
 * case the attempt is a `timeout`, whose message names that part.
 */
export interface OutboundPhases {
  /** Resolving the name; null when the answer was at hand. */
  readonly dns: number | null;
  /** TCP handshake with the last address tried, until it stood or failed; null on a reused connection. */
  readonly connect: number | null;
  /** TLS handshake, until it stood or failed; null on a reused connection and for http. */
  readonly tls: number | null;
  /** From writing the request to the headers of the response. */
  readonly firstByte: number | null;
  /** The whole attempt, waiting for a free connection included. */
  readonly total: number;
}

/** Why an attempt brought no usable response. */
export type OutboundErrorClass =
  /** The name does not resolve. */
  | 'dns'
  /** No TCP connection to any vetted address. */
  | 'connect'
  /** The TLS handshake failed, the certificate included. */
  | 'tls'
  /** The wall clock ran out before the headers were there. */
  | 'timeout'
  /** The peer closed the connection before the headers were there. */
  | 'reset'
  /** A 3xx, the one class with an answer: `status`, `retryAfter` and `bodyExcerpt` are there. */
  | 'redirect'
  /** The URL or one of its addresses is not open to callbacks; nothing was connected to. */
  | 'forbidden_address'
  /** What came is not HTTP, or the request cannot be said in HTTP. */
  | 'http'
  /** The headers of the response exceed 16 kB, or 512 kB of whatever came before they ended. */
  | 'too_large';

/** What every outcome has. */
interface Attempted {
  readonly phases: OutboundPhases;
  /** As the receiver got them, or would have got them; absent when the URL was refused. */
  readonly requestHeaders?: Readonly<Record<string, string>>;
}

export type OutboundOutcome = Attempted &
  (
    | {
        readonly kind: 'response';
        readonly status: number;
        /** The header as it came. */
        readonly retryAfter: string | null;
        /** The first 2 kB of the body as text; what is not UTF-8, and NUL, is U+FFFD. */
        readonly bodyExcerpt: string;
      }
    | {
        readonly kind: 'error';
        readonly errorClass: OutboundErrorClass;
        /** One sentence without any part of the URL; Postgres can store it. */
        readonly message: string;
        /** Of a redirect, as above. */
        readonly status?: number;
        readonly retryAfter?: string | null;
        readonly bodyExcerpt?: string;
      }
  );

/** A failed attempt on its way to becoming an outcome. Does not leave this directory. */
export class OutboundFailure extends Error {
  constructor(
    readonly errorClass: OutboundErrorClass,
    message: string,
  ) {
    super(storable(message));
    this.name = 'OutboundFailure';
  }
}

/** Peers have a say in messages, a certificate's names for one: Postgres stores neither NUL nor half a surrogate pair. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').replace(/\p{Surrogate}/gu, '\ufffd');
}

/** Sorts what undici and Node report after the connection stood. */
export function requestFailure(error: Error): OutboundFailure {
  if (error instanceof OutboundFailure) return error;
  const code = errorCode(error);
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return new OutboundFailure('too_large', 'the response headers exceed 16 kB');
  const unasked = code === 'UND_ERR_SOCKET' ? UNASKED[error.message] : undefined;
  if (unasked !== undefined) return new OutboundFailure('http', unasked);
  if (RESET_CODES.has(code))
    return new OutboundFailure('reset', `the connection was closed without a response (${code})`);
  if (code === 'UND_ERR_INVALID_ARG')
    return new OutboundFailure('http', `the request is not valid HTTP: ${error.message}`);
  // The parser's reason is one of a fixed set of phrases; its code is often missing.
  const detail = error.name === 'HTTPParserError' ? error.message : code;
  return new OutboundFailure('http', `the answer is not valid HTTP (${detail})`);
}

/** Sorts what a socket reports before the connection stands. */
export function connectFailure(error: Error, phase: 'connect' | 'tls'): OutboundFailure {
  if (error instanceof OutboundFailure) return error;
  const code = errorCode(error);
  if (phase === 'connect') return new OutboundFailure('connect', `no connection (${code})`);
  // Certificate messages name the host and the certificate's names; those of OpenSSL name its source files.
  const detail = /^(ERR_TLS|CERT_|DEPTH_|SELF_|UNABLE_)/.test(code)
    ? `: ${error.message.slice(0, MAX_DETAIL_LENGTH)}`
    : '';
  return new OutboundFailure('tls', `the TLS handshake failed (${code})${detail}`);
}

/**
 * Answers upon which undici closes the connection without giving them on, by its message: the code is that of every
 * closed connection. A 100 is for requests with Expect, which we never send; RFC 9110 section 15.2 would have a client
 * pass over it, but undici offers no way to.
 */
const UNASKED: Readonly<Record<string, string>> = {
  'bad response': 'the receiver answered 100 Continue, which was not asked for',
  'bad upgrade': 'the receiver answered 101 Switching Protocols, which was not asked for',
};

/** Of a certificate's message, which can hold a hundred names. */
const MAX_DETAIL_LENGTH = 300;

const RESET_CODES: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_SOCKET',
  'UND_ERR_INFO',
]);

/** The `code` that Node and undici put on their errors, for a message or a table. */
export function errorCode(error: unknown): string {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'string' ? code : 'no code';
}
