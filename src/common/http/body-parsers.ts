import { Busboy } from '@fastify/busboy';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isUtf8 } from 'node:buffer';
import { Problem } from '../errors/problem.js';
import { FORBIDDEN_NAMES, hasForbiddenName, parseForeignJson } from '../validation/json.js';
import { FormFields } from '../validation/text-fields.js';

/** Of everything that a request may carry (contract, section 2: 413). Bytes. */
export const BODY_LIMIT_BYTES = 1_048_576;

const MAX_FORM_FIELDS = 200;
const CHARSET = /;\s*charset\s*=\s*"?([^\s;"]+)/i;
const UTF8 = /^(utf-?8|us-ascii)$/i;

/** The three media types that TensorPix takes, each as UTF-8 only and as it is; anything else is Fastify's 415. */
export function registerBodyParsers(fastify: FastifyInstance): void {
  const options = { parseAs: 'buffer' as const, bodyLimit: BODY_LIMIT_BYTES };
  const add = (type: string, parse: (request: FastifyRequest, body: Buffer) => unknown): void =>
    fastify.addContentTypeParser(type, options, async (request: FastifyRequest, body: Buffer) => {
      mustBeAsItIs(request);
      return parse(request, body);
    });
  fastify.removeAllContentTypeParsers();
  add('application/json', (request, body) => parseJson(decode(request, body)));
  add('application/x-www-form-urlencoded', (request, body) => parseUrlencoded(decode(request, body)));
  add('multipart/form-data', (request, body) => parseMultipart(request.headers['content-type'] ?? '', body));
}

/** Nothing is decompressed (RFC 9110, section 15.5.16, which also says how to tell a coding from a media type). */
function mustBeAsItIs({ headers }: FastifyRequest): void {
  const codings = (headers['content-encoding'] ?? '').split(',').map((coding) => coding.trim().toLowerCase());
  if (codings.every((coding) => coding === '' || coding === 'identity')) return;
  throw new Problem('unsupported_media_type', 'Send the body without a content-encoding: nothing is decompressed.', {
    acceptEncoding: 'identity',
  });
}

function decode(request: FastifyRequest, body: Buffer): string {
  const charset = CHARSET.exec(request.headers['content-type'] ?? '')?.[1];
  if (charset && !UTF8.test(charset)) throw notUtf8();
  return utf8(body);
}

function notUtf8(): Problem {
  return new Problem('unsupported_media_type', 'Only UTF-8 bodies are understood.');
}

function utf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw Problem.invalid({}, ['The body is not valid UTF-8.']);
  return bytes.toString('utf8');
}

function parseJson(text: string): unknown {
  if (text === '') return undefined;
  const value = readJson(text);
  // Null would pass for "no body" further on.
  if (value === null) throw Problem.invalid({}, ['The body must be a JSON object.']);
  return value;
}

function readJson(text: string): unknown {
  try {
    return parseForeignJson(text);
  } catch {
    throw Problem.invalid({}, [`The body ${hasForbiddenName(text) ? FORBIDDEN_NAMES : 'is not valid JSON'}.`]);
  }
}

/** Strictly: URLSearchParams would turn an escape that is no UTF-8 into another character. */
function parseUrlencoded(text: string): FormFields {
  if (/^\s*[{[]/.test(text)) {
    throw Problem.invalid({}, ['The body looks like JSON: send it with content-type: application/json.']);
  }
  const form = new Map<string, string[]>();
  const pairs = text === '' ? [] : text.split('&');
  if (pairs.length > MAX_FORM_FIELDS) throw tooManyFields();
  try {
    for (const pair of pairs) {
      const [name = '', ...value] = pair.replaceAll('+', ' ').split('=');
      append(form, decodeURIComponent(name), decodeURIComponent(value.join('=')));
    }
  } catch {
    throw Problem.invalid({}, ['The form is not urlencoded UTF-8.']);
  }
  return new FormFields(form);
}

/** Fields only: a file is refused by the name of its field. */
function parseMultipart(contentType: string, body: Buffer): Promise<FormFields> {
  const text = utf8(body);
  return new Promise((resolve, reject) => {
    const malformed = () => reject(Problem.invalid({}, ['The multipart body is malformed.']));
    const form = new Map<string, string[]>();
    try {
      mustBeUtf8Parts(contentType, text);
      const busboy = new Busboy({
        headers: { 'content-type': contentType },
        limits: { fields: MAX_FORM_FIELDS, files: 1, fieldSize: BODY_LIMIT_BYTES },
      });
      busboy.on('field', (name, value) => append(form, name, value));
      busboy.on('file', (name, stream) => {
        // A file that is cut off fails in its own stream, later: unheard, that would end the process.
        stream.on('error', malformed).resume();
        reject(Problem.invalid({ [name]: ['must be a text field, not a file'] }));
      });
      busboy.on('fieldsLimit', () => reject(tooManyFields()));
      busboy.on('error', malformed);
      busboy.on('finish', () => resolve(new FormFields(form)));
      busboy.end(body);
    } catch (error) {
      if (error instanceof Problem) reject(error);
      else malformed();
    }
  });
}

/** busboy decodes a part in whatever charset its header names; ours is UTF-8. */
function mustBeUtf8Parts(contentType: string, text: string): void {
  const boundary = /boundary="?([^";]+)/i.exec(contentType)?.[1];
  const heads =
    boundary === undefined ? [] : text.split(`--${boundary}`).map((part) => part.split('\r\n\r\n')[0] ?? '');
  if (heads.some((head) => CHARSET.test(head) && !UTF8.test(CHARSET.exec(head)?.[1] ?? ''))) throw notUtf8();
}

function append(form: Map<string, string[]>, name: string, value: string): void {
  const values = form.get(name);
  if (values) values.push(value);
  else form.set(name, [value]);
}

function tooManyFields(): Problem {
  return Problem.invalid({}, ['The form has too many fields.']);
}
