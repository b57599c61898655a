import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { requestFailure, type OutboundFailure } from './outbound-outcome.js';

/** Bytes of body read before the connection is dropped (contract section 7). They are never decompressed. */
const MAX_BODY_BYTES = 65_536;
const EXCERPT_BYTES = 2_048;

/** Told once: the failure, or null when there is a status; and whether the connection can carry another request. */
export type ReaderSettled = (failure: OutboundFailure | null, reusable: boolean) => void;

/**
 * Takes one response from undici. Once the headers are there the status counts, whatever becomes of the body: its end,
 * 64 kB of it, an error or the clock all settle the attempt as answered.
 */
export class ResponseReader implements Dispatcher.DispatchHandler {
  /** 0 until the headers are there. */
  status = 0;
  retryAfter: string | null = null;
  /** Monotonic times. */
  sentAtMs: number | null = null;
  headersAtMs: number | null = null;
  private readonly excerpt: Buffer[] = [];
  private received = 0;
  private settled = false;

  /**
   * @param lateness why the request must not be written any more, asked right before it would be
   * @param onAnswered told when the status is known
   */
  constructor(
    private readonly onSettled: ReaderSettled,
    private readonly lateness: () => OutboundFailure | null = () => null,
    private readonly onAnswered: () => void = () => undefined,
  ) {}

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // After a standstill of the process a connection can stand before the timer has fired that should have ended it.
    const late = this.lateness();
    if (late) {
      controller.abort(late);
      this.interrupt(late);
    } else this.sentAtMs = performance.now();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.status = status;
    this.headersAtMs = performance.now();
    this.retryAfter = headerText(headers['retry-after']);
    this.onAnswered();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const wanted = EXCERPT_BYTES - this.received;
    // A copy: a slice would keep the whole chunk in memory as long as the outcome.
    if (wanted > 0) this.excerpt.push(Buffer.from(chunk.subarray(0, wanted)));
    this.received += chunk.length;
    if (this.received > MAX_BODY_BYTES) this.settle(null, false);
  }

  onResponseEnd(): void {
    this.settle(null, true);
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.interrupt(requestFailure(error));
  }

  /** Ends the attempt now: as answered when the headers are there, else with the failure. */
  interrupt(failure: OutboundFailure): void {
    this.settle(this.status === 0 ? failure : null, false);
  }

  /** The first 2 kB of the body; a character cut at their end is left out. */
  bodyExcerpt(): string {
    if (this.excerpt.length === 0) return '';
    const bytes =
      this.excerpt.length === 1 && this.excerpt[0] !== undefined ? this.excerpt[0] : Buffer.concat(this.excerpt);
    const whole = this.received > EXCERPT_BYTES ? bytes.subarray(0, wholeCharacters(bytes)) : bytes;
    // Postgres text holds no NUL.
    return whole.toString('utf8').replaceAll('\u0000', '\ufffd');
  }

  private settle(failure: OutboundFailure | null, reusable: boolean): void {
    if (this.settled) return;
    this.settled = true;
    this.onSettled(failure, reusable);
  }
}

/** The first value of a header; undici gives a list for a repeated one. */
function headerText(value: string | readonly string[] | undefined): string | null {
  return (typeof value === 'string' ? value : value?.[0]) ?? null;
}

/** The length without a UTF-8 sequence that its end cuts. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
