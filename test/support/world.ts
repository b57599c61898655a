import { afterAll, beforeAll, expect } from '@jest/globals';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import pg from 'pg';
import type { SimulatorOptions } from '../../simulator/options.js';
import type { LoggedRequest } from '../../simulator/request-log.js';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { useDatabase } from './database.js';
import { ADMIN_KEY, createTenant, startGateway, type Gateway, type TestTenant } from './gateway.js';

export const TOKEN = 'tpx-token-of-the-first-team-0123456789';
export const OTHER_TOKEN = 'tpx-token-of-the-other-team-987654321';
export const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };

export const VIDEO = { video_url: 'https://media.example.com/in.mp4', ml_models: [1] };
export const IMAGE = {
  url: 'https://media.example.com/in.png',
  enhancement_type: 'sr2x',
  face_enhance: false,
  output_format: 'png',
  watermark: true,
};

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders | Record<string, string>;
  body: Record<string, unknown>;
  text: string;
}

export interface Effects {
  jobs: number;
  tenants: number;
  apiKeys: number;
  /** requests that TensorPix got, the polling of jobs left out */
  calls: number;
}

/** A gateway with a tenant, a TensorPix and a look into the database. */
export interface World {
  simulator: Simulator;
  gateway: Gateway;
  tenant: TestTenant;
  auth: { authorization: string };
  sql: <Row>(text: string, values?: unknown[]) => Promise<Row[]>;
  effects: () => Promise<Effects>;
  /** Runs statements in one transaction, which is committed when `work` is done. */
  transaction: (work: (run: World['sql']) => Promise<void>) => Promise<void>;
}

/** Call it at the top of a describe block. The fields are there from `beforeAll` on. */
export function useWorld(env: NodeJS.ProcessEnv = {}, options: Partial<SimulatorOptions> = {}): World {
  const world = {} as World;
  let pool: pg.Pool | undefined;
  const database = useDatabase();
  beforeAll(async () => {
    const simulator = await startSimulator({ tokens: [TOKEN, OTHER_TOKEN], logBodies: true, ...options });
    const gateway = await startGateway(database.url(), simulator.url, env);
    const tenant = await createTenant(gateway.url, TOKEN);
    pool = new pg.Pool({ connectionString: database.url(), max: 4 });
    // Tests cut connections that are idle.
    pool.on('error', () => undefined);
    const sql = async <Row>(text: string, values: unknown[] = []): Promise<Row[]> =>
      ((await pool?.query(text, values))?.rows ?? []) as Row[];
    const effects = async (): Promise<Effects> => {
      const [row] = await sql<Omit<Effects, 'calls'>>(
        `select (select count(*)::int from jobs) as jobs, (select count(*)::int from tenants) as tenants,
                (select count(*)::int from api_keys) as "apiKeys"`,
      );
      return { ...(row as Omit<Effects, 'calls'>), calls: simulator.control.requests().filter(isOurs).length };
    };
    const transaction: World['transaction'] = async (work) => {
      const client = await (pool as pg.Pool).connect();
      try {
        await client.query('begin');
        await work(
          async <Row>(text: string, values: unknown[] = []) => (await client.query(text, values)).rows as Row[],
        );
        await client.query('commit');
      } finally {
        client.release();
      }
    };
    Object.assign(world, { simulator, gateway, tenant, sql, effects, transaction, auth: bearer(tenant) });
  });
  afterAll(async () => {
    await world.gateway?.close();
    await world.simulator?.close();
    await pool?.end();
  });
  return world;
}

function isOurs({ method, path }: LoggedRequest): boolean {
  return method !== 'GET' || !path.startsWith('/api/jobs/');
}

export function bearer({ key }: { key: string }): { authorization: string } {
  return { authorization: `Bearer ${key}` };
}

/** The contract's error shape, section 2. Returns the body. */
export function expectProblem(answer: Answer, status: number, code?: string): Problem {
  expect({ status: answer.status, body: answer.text }).toMatchObject({ status });
  expect(String(answer.headers['content-type'])).toMatch(/^application\/problem\+json\b/);
  const body = answer.body as unknown as Problem;
  expect(body).toMatchObject({
    type: 'about:blank',
    status,
    title: expect.stringMatching(/./),
    code: code ?? expect.stringMatching(/^[a-z_]+$/),
    detail: expect.stringMatching(/./),
    request_id: expect.stringMatching(/./),
  });
  expect(answer.headers['x-request-id']).toBe(body.request_id);
  if (status === 400) {
    expect(body.errors).toEqual(expect.any(Object));
    expect(Array.isArray(body.errors)).toBe(false);
    expect(Array.isArray(body.non_field_errors)).toBe(true);
    for (const messages of Object.values(body.errors)) expect(messages.length).toBeGreaterThan(0);
  }
  if (status === 401) expect(answer.headers['www-authenticate']).toBe('Bearer');
  return body;
}

export interface Problem {
  code: string;
  detail: string;
  request_id: string;
  errors: Record<string, string[]>;
  non_field_errors: string[];
  job_id?: string;
}

/** Sends what has to be refused, and sees that it is: the shape, no new row of any kind, TensorPix not asked. */
export async function expectRefused(
  world: World,
  send: () => PromiseLike<Answer>,
  status: number,
  code?: string,
): Promise<Problem> {
  const before = await world.effects();
  const problem = expectProblem(await send(), status, code);
  expect(await world.effects()).toEqual(before);
  return problem;
}

export interface RawRequest {
  method?: string;
  path?: string;
  headers?: Record<string, string | string[]>;
  body?: Buffer | string;
  /** sends the body in chunks, without a content-length */
  chunked?: boolean;
}

/** One request, byte for byte as told. An answer that comes before the whole body was taken counts. */
export function exchange(url: string, options: RawRequest): Promise<Answer> {
  const { method = 'POST', path = '/v1/jobs', headers = {}, body, chunked = false } = options;
  return new Promise((resolve, reject) => {
    const length = chunked || body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const request = httpRequest(new URL(url), { method, path, headers: { ...length, ...headers }, agent: false });
    let answered = false;
    request.on('response', (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      const done = () =>
        resolve(toAnswer(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString()));
      response.on('end', done);
      response.on('error', done);
    });
    request.on('error', (error) => (answered ? undefined : reject(error)));
    if (chunked && body !== undefined) {
      const bytes = Buffer.from(body);
      for (let at = 0; at < bytes.length; at += 65_536) request.write(bytes.subarray(at, at + 65_536));
    } else if (body !== undefined) request.write(body);
    request.end();
  });
}

/** Writes bytes to a socket and reads until the other side closes it. */
export function rawExchange(url: string, bytes: string | Buffer): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', (error) => (chunks.length > 0 ? undefined : reject(error)));
    socket.on('close', () => resolve(parseRaw(Buffer.concat(chunks).toString())));
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer on the socket')));
  });
}

function parseRaw(text: string): Answer {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  return toAnswer(Number(statusLine.split(' ')[1]), headers, rest.join('\r\n\r\n'));
}

function toAnswer(status: number, headers: Answer['headers'], text: string): Answer {
  try {
    return { status, headers, text, body: JSON.parse(text) as Answer['body'] };
  } catch {
    return { status, headers, text, body: {} };
  }
}

/** A multipart body of text fields; a part can bring its own headers. */
export function multipart(
  boundary: string,
  parts: { name: string; value: string | Buffer; extra?: string; headers?: string }[],
): Buffer {
  const pieces = parts.flatMap(({ name, value, extra = '', headers = '' }) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${extra}\r\n${headers}\r\n`),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}
