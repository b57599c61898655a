import type { IncomingMessage } from 'node:http';
import { Busboy } from '@fastify/busboy';

const MAX_BODY_BYTES = 20 * 1024 * 1024;

export interface UploadedFile {
  name: string;
  sizeBytes: number;
}

/** A request's fields. In a form every value is text, and a repeated field is a list of texts. */
export interface DecodedBody {
  form: boolean;
  values: Record<string, unknown>;
  files: Record<string, UploadedFile>;
}

/** A body that could not be decoded; `text` goes into `detail` or, for a JSON value of another type, non_field_errors. */
export interface BodyError {
  error: 'malformed' | 'unsupported' | 'not_an_object';
  text: string;
}

/** Reads and decodes a body as DRF's JSON, form and multipart parsers do; an absent body is an empty form. */
export async function readBody(request: IncomingMessage): Promise<DecodedBody | BodyError> {
  const contentType = request.headers['content-type'] ?? '';
  const mediaType = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
  if (mediaType === 'multipart/form-data') return readMultipart(request);
  const text = await readText(request);
  if (text === null) return { error: 'malformed', text: 'Request body exceeded the limit.' };
  if (mediaType === 'application/json') return decodeJson(text);
  if (text === '') return { form: true, values: {}, files: {} };
  if (mediaType === 'application/x-www-form-urlencoded') return decodeForm(new URLSearchParams(text));
  return { error: 'unsupported', text: `Unsupported media type "${contentType}" in request.` };
}

export function isBodyError(body: DecodedBody | BodyError): body is BodyError {
  return 'error' in body;
}

function readText(request: IncomingMessage): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= MAX_BODY_BYTES) chunks.push(chunk);
    });
    request.on('end', () => resolve(sizeBytes > MAX_BODY_BYTES ? null : joinText(chunks)));
    request.on('error', reject);
  });
}

function joinText(chunks: Buffer[]): string {
  const only = chunks[0];
  return chunks.length === 1 && only !== undefined ? only.toString('utf8') : Buffer.concat(chunks).toString('utf8');
}

function decodeJson(text: string): DecodedBody | BodyError {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { error: 'malformed', text: `JSON parse error - ${error instanceof Error ? error.message : 'invalid'}` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const name = Array.isArray(value) ? 'list' : value === null ? 'NoneType' : typeof value;
    return { error: 'not_an_object', text: `Invalid data. Expected a dictionary, but got ${name}.` };
  }
  return { form: false, values: value as Record<string, unknown>, files: {} };
}

function decodeForm(fields: Iterable<[string, string]>): DecodedBody {
  // No prototype: a field may be called `constructor`.
  const values = Object.create(null) as Record<string, string[]>;
  for (const [name, value] of fields) (values[name] ??= []).push(value);
  return { form: true, values, files: {} };
}

function readMultipart(request: IncomingMessage): Promise<DecodedBody | BodyError> {
  return new Promise((resolve) => {
    const fail = (): void => {
      request.resume();
      resolve({ error: 'malformed', text: 'Multipart form parse error - Invalid boundary in multipart' });
    };
    const fields: [string, string][] = [];
    const files: Record<string, UploadedFile> = {};
    let parser: InstanceType<typeof Busboy>;
    try {
      parser = new Busboy({ headers: { ...request.headers, 'content-type': request.headers['content-type'] ?? '' } });
    } catch {
      return fail();
    }
    parser.on('field', (name, value) => fields.push([name, value]));
    parser.on('file', (field, stream, name) => {
      const file = (files[field] = { name, sizeBytes: 0 });
      stream.on('data', (chunk: Buffer) => (file.sizeBytes += chunk.length));
    });
    parser.on('error', fail);
    parser.on('finish', () => resolve({ ...decodeForm(fields), files }));
    request.on('error', fail);
    request.pipe(parser);
  });
}
