import { Client, type Dispatcher } from 'undici';
import type { Socket } from 'node:net';
import type { Awaited } from './attempt-deadline.js';
import { OutboundFailure } from './outbound-outcome.js';
import { connectVetted, type Handshakes } from './vetted-connector.js';

/** Scheme, host and port of a URL, taken apart once. */
export interface Origin {
  /** As of `URL.origin`. */
  readonly key: string;
  readonly secure: boolean;
  readonly port: number;
  /** For SNI; empty when the host is an address. */
  readonly serverName: string;
}

/** Bytes of response headers; more is error class `too_large`. */
const MAX_RESPONSE_HEADER_BYTES = 16_384;

/**
 * Bytes that one attempt may bring on the connection, whatever they are. undici counts headers and we count the body, but
 * a receiver can stream for ever in what neither counts: the reason phrase, 103 responses, the extension of a chunk, empty
 * lines after a response, what TLS says besides. Far above what the other limits let through: 64 kB of body in chunks of
 * one byte take 400 kB, 16 kB of headers in TLS records of one byte as much.
 */
const MAX_WIRE_BYTES = 524_288;
/** How often that is looked at beside the moments at which there is something to read: TLS keeps some of it to itself. */
const WIRE_LOOK_MS = 250;

/**
 * How long an unused connection stays open, in milliseconds: 4 s when the receiver says nothing, since some close after
 * 5 s without a word and a POST sent into that fails; else what its Keep-Alive header says less 2 s, at most 30 s.
 */
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 30_000;

/**
 * One connection to one vetted address of an origin, for one request at a time. It reconnects when the receiver has
 * closed it, to the same address. An undici `Client` and not a `Pool`: a pool does not tell which connection a request
 * runs on, whose handshakes those were, or to which address it goes.
 */
export class OutboundConnection {
  /** Of the connection that the request under way had to wait for; null when it found one open. */
  handshakes: Handshakes | null = null;
  /** Monotonic time at which it became unused. */
  idleSinceMs = 0;
  private readonly client: Client;
  /** The TCP connection, also below TLS. */
  private wire: Socket | null = null;
  /** Of the bytes that came in over it, those that came before the request under way. */
  private bytesBefore = 0;
  private connectTimeoutMs: number | undefined;

  constructor(
    private readonly origin: Origin,
    readonly address: string,
    private readonly ca: string | Buffer | undefined,
  ) {
    this.client = new Client(origin.key, {
      connect: (_options, callback) => this.connect(callback),
      pipelining: 1,
      maxHeaderSize: MAX_RESPONSE_HEADER_BYTES,
      // The attempt has one wall clock; undici's timers are per phase.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    });
  }

  /** What the request under way waits for. */
  get awaited(): Awaited {
    if (this.handshakes === null) return 'response';
    if (this.handshakes.connectMs === null) return 'TCP connection';
    return this.origin.secure && this.handshakes.tlsMs === null ? 'TLS handshake' : 'response';
  }

  /** Sends one request, connecting first where needed; `connectTimeoutMs` bounds the TCP handshake. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler, connectTimeoutMs?: number): void {
    this.handshakes = null;
    this.bytesBefore = this.wire?.bytesRead ?? 0;
    this.connectTimeoutMs = connectTimeoutMs;
    this.client.dispatch(options, handler);
  }

  /** Ends the connection at once, also one that is being opened; a request under way fails. */
  destroy(): void {
    this.client.destroy(null, () => undefined);
    this.wire?.destroy();
  }

  private connect(callback: (...args: [null, Socket] | [Error, null]) => void): void {
    const { address, ca, connectTimeoutMs: timeoutMs } = this;
    const { secure, port, serverName } = this.origin;
    const optional = { ...(ca === undefined ? {} : { ca }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    const { wire, handshakes } = connectVetted(
      { secure, address, port, serverName, ...optional },
      (failure, socket) => {
        if (socket === null) return callback(failure ?? new Error('no socket'), null);
        this.limitBytes(socket, wire);
        callback(null, socket);
      },
    );
    this.wire = wire;
    this.handshakes = handshakes;
    this.bytesBefore = 0;
    const looking = setInterval(() => {
      if (this.hasTooMany(wire)) wire.destroy(tooManyBytes());
    }, WIRE_LOOK_MS).unref();
    wire.once('close', () => clearInterval(looking));
  }

  /**
   * Ends the connection with `too_large` when there are too many: undici tells the request under way, if there is one.
   * The listeners come before undici's, so that the bytes are counted before they are parsed.
   */
  private limitBytes(socket: Socket, wire: Socket): void {
    this.bytesBefore = wire.bytesRead;
    const count = (): void => {
      if (this.hasTooMany(wire)) socket.destroy(tooManyBytes());
    };
    socket.on('readable', count);
    // A TLS session ticket is read without making anything readable.
    if (socket !== wire) socket.on('session', count);
  }

  private hasTooMany(wire: Socket): boolean {
    return wire.bytesRead - this.bytesBefore > MAX_WIRE_BYTES;
  }
}

function tooManyBytes(): OutboundFailure {
  return new OutboundFailure('too_large', 'the answer exceeds 512 kB before its headers end');
}
