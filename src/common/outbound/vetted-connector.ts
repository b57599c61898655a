import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseIp, sameIp, unmapped } from './ip-address.js';
import { connectFailure, OutboundFailure } from './outbound-outcome.js';

export interface ConnectTarget {
  readonly secure: boolean;
  /** The vetted address; no name ever reaches the socket layer, so that nothing is resolved a second time. */
  readonly address: string;
  readonly port: number;
  /** For SNI and the certificate; empty when the URL has an address, which the certificate must then name. */
  readonly serverName: string;
  /** Certificates to trust instead of the system's. */
  readonly ca?: string | Buffer;
  /** Milliseconds for the TCP handshake; without it only the attempt's wall clock counts. */
  readonly timeoutMs?: number;
}

/** Milliseconds of the two handshakes; null for one that has not ended yet, or that there is none of. */
export interface Handshakes {
  readonly connectMs: number | null;
  readonly tlsMs: number | null;
}

/** A connection that is being opened, or was. */
export interface Connecting {
  /** The TCP connection, also below TLS: its `bytesRead` counts what really came in, and destroying it ends all. */
  readonly wire: Socket;
  /** Filled in as each of them ends, well or not. */
  readonly handshakes: Handshakes;
}

/** The socket to speak HTTP on when all went well, else the failure. */
export type ConnectResult = (failure: OutboundFailure | null, socket: Socket | null) => void;

/**
 * Opens one connection and reports once. TLS is verified always: explicitly, so that NODE_TLS_REJECT_UNAUTHORIZED
 * changes nothing, and without session resumption, since Node does not check the name of a resumed session.
 */
export function connectVetted(target: ConnectTarget, done: ConnectResult): Connecting {
  const handshakes: { -readonly [Each in keyof Handshakes]: Handshakes[Each] } = { connectMs: null, tlsMs: null };
  let beganAtMs = performance.now();
  let phase: 'connect' | 'tls' = 'connect';
  let reported = false;
  const wire = connectTcp({ host: target.address, port: target.port });

  const endPhase = (): void => {
    const nowMs = performance.now();
    handshakes[phase === 'connect' ? 'connectMs' : 'tlsMs'] = nowMs - beganAtMs;
    beganAtMs = nowMs;
  };
  const fail = (error: Error): void => {
    if (reported) return;
    reported = true;
    clearTimeout(timer);
    endPhase();
    wire.destroy();
    done(connectFailure(error, phase), null);
  };
  const succeed = (socket: Socket): void => {
    if (reported) return;
    reported = true;
    done(null, socket);
  };

  const timer = target.timeoutMs === undefined ? undefined : setTimeout(() => fail(timedOut()), target.timeoutMs);
  wire.setNoDelay(true).setKeepAlive(true, 30_000);
  wire.once('connect', () => {
    const fault = peerFault(wire, target.address);
    if (fault !== null) return fail(fault);
    clearTimeout(timer);
    endPhase();
    if (!target.secure) return succeed(wire);
    phase = 'tls';
    startTls(wire, target, fail, (socket) => {
      endPhase();
      succeed(socket);
    });
  });
  watch(wire, fail);
  return { wire, handshakes };
}

/**
 * Around a socket and not with one of its own: that would only count the bytes that it has decrypted, and a peer can
 * send records that hold none.
 */
function startTls(
  wire: Socket,
  { address, serverName, ca }: ConnectTarget,
  fail: (error: Error) => void,
  succeed: (socket: Socket) => void,
): void {
  const socket = connectTls({
    socket: wire,
    host: address,
    servername: serverName,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
  });
  socket.once('secureConnect', () => succeed(socket));
  watch(socket, fail);
}

function watch(socket: Socket, fail: (error: Error) => void): void {
  // Stays for the socket's life: an error after the connection was given up must not end the process.
  socket.on('error', fail);
  socket.once('close', () => fail(closedEarly()));
}

/** A second look at what the kernel connected to. */
function peerFault(wire: Socket, address: string): Error | null {
  // Undefined when the peer has hung up already.
  if (wire.remoteAddress === undefined) return closedEarly();
  if (isPeer(wire.remoteAddress, address)) return null;
  return new OutboundFailure('forbidden_address', 'the connection did not reach the vetted address');
}

function closedEarly(): Error {
  return Object.assign(new Error('closed by the peer'), { code: 'ECONNRESET' });
}

function timedOut(): Error {
  return Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' });
}

function isPeer(remoteAddress: string, address: string): boolean {
  const peer = parseIp(remoteAddress);
  const vetted = parseIp(address);
  // On a socket of both families, IPv4 peers can show up mapped, and a mapped address connects over IPv4.
  return peer !== null && vetted !== null && sameIp(unmapped(peer), unmapped(vetted));
}
