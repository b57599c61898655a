import { hash32 } from './random.js';
import type { Reply } from './replies.js';
import type { SimulatorState } from './state.js';

export type FileKind = 'inputs' | 'outputs' | 'thumbnails' | 'images';

/** A fresh URL in the shape of an S3 presigned one; it ends `urlTtlS` seconds after `nowMs`. */
export function presign(
  state: SimulatorState,
  base: string,
  kind: FileKind,
  id: string | number,
  nowMs: number,
  extension: string,
): string {
  const path = `/_files/${kind}/${id}/${kind}-${id}.${extension}`;
  const expiresS = Math.floor(nowMs / 1_000) + state.options.urlTtlS;
  const key = `SIM${state.nextUrlNumber().toString(36).toUpperCase()}`;
  const signature = sign(state, path, expiresS, key);
  return `${base}${path}?AWSAccessKeyId=${key}&Signature=${signature}&Expires=${expiresS}`;
}

/** Serves a result: 400 with an Authorization header, 403 when expired or forged, 404 when deleted. */
export function serveFile(
  state: SimulatorState,
  path: string,
  query: string,
  authorized: boolean,
  nowMs: number,
): Reply {
  const parameters = new URLSearchParams(query);
  const expiresS = Number(parameters.get('Expires'));
  const key = parameters.get('AWSAccessKeyId') ?? '';
  if (authorized) return storageError(400, 'InvalidArgument', 'Only one auth mechanism allowed');
  if (parameters.get('Signature') !== sign(state, path, expiresS, key)) {
    return storageError(403, 'SignatureDoesNotMatch', 'The request signature does not match');
  }
  if (nowMs >= expiresS * 1_000) return storageError(403, 'AccessDenied', 'Request has expired');
  const [, , kind, id] = path.split('/');
  if (!exists(state, kind, id)) return storageError(404, 'NoSuchKey', 'The specified key does not exist.');
  return { status: 200, body: `simulated bytes of ${kind} ${id}\n`, contentType: contentTypeOf(path) };
}

function exists(state: SimulatorState, kind: string | undefined, id = ''): boolean {
  if (kind === 'images') return state.images.has(id);
  if (kind === 'inputs' || kind === 'thumbnails') return state.videoBook.inputs.has(Number(id));
  return state.videoBook.restored.has(Number(id));
}

function sign(state: SimulatorState, path: string, expiresS: number, key: string): string {
  const text = `${path} ${expiresS} ${key}`;
  const parts = [1, 2, 3, 4].map((salt) =>
    hash32(state.options.seed * 31 + salt, text)
      .toString(16)
      .padStart(8, '0'),
  );
  return parts.join('').repeat(2);
}

function contentTypeOf(path: string): string {
  const extension = path.slice(path.lastIndexOf('.') + 1);
  if (extension === 'mp4') return 'video/mp4';
  if (extension === 'mov') return 'video/quicktime';
  if (extension === 'mkv') return 'video/x-matroska';
  return `image/${extension === 'jpg' ? 'jpeg' : extension}`;
}

function storageError(status: number, code: string, message: string): Reply {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { status, body, contentType: 'application/xml' };
}
