import { HttpRequestReader, type RawRequest } from './http-request-reader.js';
import { stepOfRequest, type KillPoint } from './kill-points.js';
import type { KillSwitch } from './kill-switch.js';
import { startTcpRelay, type Pair, type PairHandler, type TcpRelay } from './tcp-relay.js';

/** Stands between one replica and TensorPix, and knows the requests that pass. */
export function startTensorpixRelay(target: { host: string; port: number }, point: KillSwitch): Promise<TcpRelay> {
  return startTcpRelay(target, (pair) => new Exchange(pair, point));
}

/** A connection, on which one request is under way at a time. */
class Exchange implements PairHandler {
  private readonly requests = new HttpRequestReader();
  /** Nothing passes any more, in neither direction. */
  private frozen = false;
  /** The point that the next answer is held for. */
  private watched: KillPoint | null = null;

  constructor(
    private readonly pair: Pair,
    private readonly point: KillSwitch,
  ) {}

  fromClient(chunk: Buffer): void {
    for (const request of this.requests.push(chunk)) if (!this.frozen) this.pass(request);
  }

  fromServer(chunk: Buffer): void {
    if (this.watched && this.point.pass(this.watched)) this.frozen = true;
    this.watched = null;
    if (!this.frozen) this.pair.client.write(chunk);
  }

  serverEnded(): void {
    this.watched = null;
  }

  private pass({ method, path, bytes }: RawRequest): void {
    const step = stepOfRequest(method, path);
    if (step && this.point.pass(`before ${step}`)) {
      this.frozen = true;
      return;
    }
    this.pair.server.write(bytes);
    if (!step) return;
    if (this.point.pass(`during ${step}`)) this.frozen = true;
    else this.watched = `after ${step}`;
  }
}
