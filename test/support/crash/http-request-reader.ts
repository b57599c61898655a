/** A request as it came over a connection, whole. */
export interface RawRequest {
  method: string;
  /** With its query. */
  path: string;
  bytes: Buffer;
}

const HEAD_END = '\r\n\r\n';

/** Cuts the client's side of an HTTP/1.1 connection into requests, however it was fragmented. */
export class HttpRequestReader {
  private rest: Buffer = Buffer.alloc(0);

  /** The requests that this chunk completes. */
  push(chunk: Buffer): RawRequest[] {
    this.rest = Buffer.concat([this.rest, chunk]);
    const requests: RawRequest[] = [];
    for (let request = this.take(); request; request = this.take()) requests.push(request);
    return requests;
  }

  private take(): RawRequest | null {
    const headEnd = this.rest.indexOf(HEAD_END);
    if (headEnd === -1) return null;
    const head = this.rest.toString('latin1', 0, headEnd);
    if (/^transfer-encoding:/im.test(head)) throw new Error('the relay reads no chunked requests');
    const size = headEnd + HEAD_END.length + Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (this.rest.length < size) return null;
    const bytes = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(size);
    const [method = '', path = ''] = head.split(' ', 2);
    return { method, path, bytes };
  }
}
