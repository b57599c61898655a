import { Busboy } from '@fastify/busboy';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isUtf8 } from 'node:buffer';
import secureJson from 'secure-json-parse';
import { Problem } from '../errors/problem.js';
import { FormFields } from '../validation/text-fields.js';

/** Of everything that a request may carry (contract, section 2: 413). Bytes. */
export const BODY_LIMIT_BYTES = 1_048_576;

const MAX_FORM_FIELDS = 200;

/** The three media types that TensorPix takes, each as UTF-8 only; anything else is Fastify's 415. */
export function registerBodyParsers(fastify: FastifyInstance): void {
  const options = { parseAs: 'buffer' as const, bodyLimit: BODY_LIMIT_BYTES };
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', options, async (request: FastifyRequest, body: Buffer) =>
    parseJson(decode(request, body)),
  );
  fastify.addContentTypeParser(
    'application/x-www-form-urlencoded',
    options,
    async (request: FastifyRequest, body: Buffer) => parseUrlencoded(decode(request, body)),
  );
  fastify.addContentTypeParser('multipart/form-data', options, async (request: FastifyRequest, body: Buffer) =>
    parseMultipart(request.headers['content-type'] ?? '', body),
  );
}

function decode(request: FastifyRequest, body: Buffer): string {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(request.headers['content-type'] ?? '')?.[1];
  if (charset && !/^(utf-?8|us-ascii)$/i.test(charset)) {
    throw new Problem('unsupported_media_type', 'Only UTF-8 bodies are understood.');
  }
  return utf8(body);
}

function utf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw Problem.invalid({}, ['The body is not valid UTF-8.']);
  return bytes.toString('utf8');
}

function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return secureJson.parse(text, null, { protoAction: 'error', constructorAction: 'error' });
  } catch {
    throw Problem.invalid({}, ['The body is not valid JSON.']);
  }
}

function parseUrlencoded(text: string): FormFields {
  const values = new Map<string, string[]>();
  let count = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    if ((count += 1) > MAX_FORM_FIELDS) throw Problem.invalid({}, ['The form has too many fields.']);
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return new FormFields(values);
}

/** Fields only: a file is refused by the name of its field. */
function parseMultipart(contentType: string, body: Buffer): Promise<FormFields> {
  return new Promise((resolve, reject) => {
    const malformed = () => reject(Problem.invalid({}, ['The multipart body is malformed.']));
    const values = new Map<string, string[]>();
    try {
      const busboy = new Busboy({
        headers: { 'content-type': contentType },
        limits: { fields: MAX_FORM_FIELDS, files: 1, fieldSize: BODY_LIMIT_BYTES },
      });
      busboy.on('field', (name, value) => values.set(name, [...(values.get(name) ?? []), value]));
      busboy.on('file', (name, stream) => {
        stream.resume();
        reject(Problem.invalid({ [name]: ['must be a text field, not a file'] }));
      });
      busboy.on('fieldsLimit', () => reject(Problem.invalid({}, ['The form has too many fields.'])));
      busboy.on('error', malformed);
      busboy.on('finish', () => resolve(new FormFields(values)));
      busboy.end(body);
    } catch {
      malformed();
    }
  });
}
