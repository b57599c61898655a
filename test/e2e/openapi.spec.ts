import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';
import { useDatabase } from '../support/database.js';
import { killAll, startGatewayProcess, type GatewayProcess } from '../support/gateway-process.js';
import { ADMIN_KEY, createTenant, eventually, type TestTenant } from '../support/gateway.js';
import { startReceiver, type Receiver } from '../support/receiver.js';

interface Operation {
  operationId?: string;
  summary?: string;
  security?: object[];
  requestBody?: { content: Record<string, { schema: object; example?: unknown; examples?: unknown }> };
  responses: Record<string, { description: string; headers?: object; content?: Record<string, { schema?: object }> }>;
}

interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  webhooks: Record<string, { post: Operation }>;
  components: { schemas: Record<string, { properties?: Record<string, { example?: unknown }> }> };
}

const database = useDatabase();
const TOKEN = 'token-0123456789';
let simulator: Simulator;
let receiver: Receiver;
let gateway: GatewayProcess;
let tenant: TestTenant;
let document: Document;

beforeAll(async () => {
  simulator = await startSimulator({ tokens: [TOKEN], queueMs: 150, durationMs: 500 });
  receiver = await startReceiver();
  gateway = await startGatewayProcess(database.url(), simulator.url);
  tenant = await createTenant(gateway.url, TOKEN);
  document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document;
});

afterAll(async () => {
  await killAll();
  await receiver?.close();
  await simulator?.close();
});

function operations(): { name: string; operation: Operation }[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
}

/** A validator of one schema of the document, with the document's components at hand. */
function validatorOf(schema: object): { validate: (value: unknown) => string[] } {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const validate = ajv.compile({ ...schema, components: document.components });
  return {
    validate: (value) =>
      validate(value) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`),
  };
}

function schemaOf(path: string, method: string, status: string, type = 'application/json'): object {
  const schema = document.paths[path]?.[method]?.responses[status]?.content?.[type]?.schema;
  if (!schema) throw new Error(`no schema of ${method} ${path} ${status}`);
  return schema;
}

async function call(method: string, path: string, body?: object): Promise<{ status: number; json: unknown }> {
  const answer = await fetch(`${gateway.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${tenant.key}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, json: await answer.json() };
}

describe('the OpenAPI document', () => {
  it('should be valid OpenAPI 3.1 under a validator that is not ours', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate({ ...structuredClone(document) });
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  it('should name every path of the contract that there is so far', () => {
    const paths = Object.keys(document.paths).map((path) => path.replaceAll(/\{\w+\}/g, '{id}'));
    expect(paths).toEqual(
      expect.arrayContaining([
        '/v1/jobs',
        '/v1/jobs/{id}',
        '/v1/jobs/{id}/cancel',
        '/v1/jobs/{id}/events',
        '/v1/images',
        '/v1/images/{id}',
        '/v1/images/{id}/events',
        '/v1/tenants',
        '/v1/tenants/{id}',
        '/v1/tenants/{id}/api-keys',
        '/v1/tenants/{id}/api-keys/{id}',
        '/v1/webhook-secret',
        '/v1/webhook-secret/rotate',
        '/v1/webhook-endpoints',
        '/v1/webhook-endpoints/{id}',
        '/v1/webhook-endpoints/{id}/rotate-secret',
        '/v1/webhook-endpoints/{id}/test',
        '/v1/webhook-deliveries',
        '/v1/webhook-deliveries/{id}',
        '/v1/webhook-deliveries/{id}/retry',
        '/v1/webhook-deliveries/replay',
        '/v1/webhook-deliveries/verify',
        '/health/live',
        '/health/ready',
        '/metrics',
      ]),
    );
  });

  it('should describe every operation, with a summary, a name of its own and its errors', () => {
    const names = operations().map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, operation } of operations()) {
      expect([name, operation.summary ?? '']).not.toEqual([name, '']);
      const named = Object.values(operation.responses).filter(({ headers }) => headers && 'X-Request-Id' in headers);
      expect([name, named.length]).toEqual([name, Object.keys(operation.responses).length]);
      if (!name.includes(' /v1/')) continue;
      const errors = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400);
      expect([name, errors.map(([status]) => status)]).toEqual([name, expect.arrayContaining(['401', '403'])]);
      for (const [, { content }] of errors) expect(Object.keys(content ?? {})).toEqual(['application/problem+json']);
      if (!operation.requestBody) continue;
      expect([name, Object.keys(operation.responses)]).toEqual([name, expect.arrayContaining(['400', '413', '415'])]);
    }
  });

  it('should say so wherever a body of another type is refused', async () => {
    for (const { name, operation } of operations()) {
      const [method = '', path = ''] = name.split(' ');
      if (method === 'GET') continue;
      const key = operation.security?.some((scheme) => 'admin' in scheme) ? ADMIN_KEY : tenant.key;
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain' };
      const answer = await fetch(`${gateway.url}${path}`, { method, headers, body: 'a body' });
      await answer.body?.cancel();
      expect([name, answer.status]).toEqual([name, 415]);
      expect([name, Object.keys(operation.responses)]).toEqual([name, expect.arrayContaining(['413', '415'])]);
    }
  });

  it('should say which codes a create may be answered with', () => {
    for (const path of ['/v1/jobs', '/v1/images']) {
      const statuses = Object.keys(document.paths[path]?.post?.responses ?? {});
      expect(statuses).toEqual(
        expect.arrayContaining(['201', '202', '400', '401', '402', '403', '413', '415', '429', '502', '503', '504']),
      );
    }
  });

  it('should describe the stream of events beside its list', () => {
    for (const path of ['/v1/jobs/{id}/events', '/v1/images/{id}/events']) {
      const { responses } = document.paths[path]?.get as Operation;
      expect(Object.keys(responses['200']?.content ?? {})).toEqual(['application/json', 'text/event-stream']);
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['204', '400', '404', '429']));
      expect(JSON.stringify(document.paths[path]?.get)).toContain('"name":"Last-Event-ID","in":"header"');
    }
  });

  it('should have an example for every required field of a create', () => {
    for (const name of ['CreateJobDto', 'CreateImageDto', 'CreateTenantDto']) {
      const schema = document.components.schemas[name] as {
        required?: string[];
        properties?: Record<string, { example?: unknown }>;
      };
      expect(schema.required?.length).toBeGreaterThan(0);
      for (const field of schema.required ?? [])
        expect([name, field, schema.properties?.[field]?.example]).not.toEqual([name, field, undefined]);
    }
  });

  it('should describe every webhook with its headers and a schema', () => {
    expect(Object.keys(document.webhooks).sort()).toEqual([
      'endpoint.disabled',
      'image.failed',
      'image.finished',
      'job.canceled',
      'job.failed',
      'job.finished',
      'job.processing',
      'job.progress',
      'job.queued',
      'webhook.test',
    ]);
    for (const { post } of Object.values(document.webhooks)) {
      expect(post.requestBody?.content['application/json']?.schema).toBeDefined();
      expect(JSON.stringify(post)).toContain('webhook-signature');
    }
  });

  it('should hold no example that looks like a real secret', () => {
    expect(JSON.stringify(document)).not.toMatch(/tpg_[A-Za-z0-9_-]{30,}/);
  });
});

describe('what the gateway really answers and sends', () => {
  const video = { video_url: 'https://media.example.com/in.mp4', ml_models: [1] };
  const image = {
    url: 'https://media.example.com/in.png',
    enhancement_type: 'sr2x',
    face_enhance: false,
    output_format: 'png',
    watermark: true,
  };

  it('should fit the document', async () => {
    const created = await call('POST', '/v1/jobs', { ...video, callback_url: receiver.url });
    expect(created.status).toBe(201);
    expect(validatorOf(schemaOf('/v1/jobs', 'post', '201')).validate(created.json)).toEqual([]);
    const { id } = created.json as { id: string };
    await eventually(
      () => receiver.types(id),
      (types) => types.includes('job.finished'),
    );
    const imaged = await call('POST', '/v1/images', { ...image, callback_url: receiver.url });
    expect(validatorOf(schemaOf('/v1/images', 'post', '201')).validate(imaged.json)).toEqual([]);
    for (const path of ['/v1/jobs/{id}', '/v1/jobs/{id}/events', '/v1/jobs', '/v1/images', '/v1/webhook-secret']) {
      const { status, json } = await call('GET', path.replace('{id}', id));
      expect([path, status]).toEqual([path, 200]);
      expect([path, validatorOf(schemaOf(path, 'get', '200')).validate(json)]).toEqual([path, []]);
    }
  });

  it('should fit the document in all that is about webhooks', async () => {
    const fits = async (method: string, path: string, id: string, status: number, body?: object): Promise<unknown> => {
      const answer = await call(method, path.replace('{id}', id), body);
      expect([path, answer.status]).toEqual([path, status]);
      const schema = schemaOf(path, method.toLowerCase(), String(status));
      expect([path, validatorOf(schema).validate(answer.json)]).toEqual([path, []]);
      return answer.json;
    };
    const fields = { url: receiver.url, headers: { 'x-environment': 'test' } };
    const endpoint = (await fits('POST', '/v1/webhook-endpoints', '', 201, fields)) as { id: string };
    await fits('GET', '/v1/webhook-endpoints', '', 200);
    await fits('PATCH', '/v1/webhook-endpoints/{id}', endpoint.id, 200, { description: 'changed' });
    await fits('POST', '/v1/webhook-endpoints/{id}/rotate-secret', endpoint.id, 200, {});
    const test = (await fits('POST', '/v1/webhook-endpoints/{id}/test', endpoint.id, 202)) as { id: string };
    await eventually(
      () => call('GET', `/v1/webhook-deliveries/${test.id}`),
      ({ json }) => (json as { status: string }).status === 'delivered',
    );
    await fits('GET', '/v1/webhook-deliveries', '', 200);
    await fits('GET', '/v1/webhook-deliveries/{id}', test.id, 200);
    await fits('POST', '/v1/webhook-deliveries/{id}/retry', test.id, 202);
    await fits('POST', '/v1/webhook-deliveries/replay', '', 202, {
      since: new Date(Date.now() - 60_000).toISOString(),
    });
    await fits('POST', '/v1/webhook-deliveries/verify', '', 200, { headers: {}, body: '{}' });
    const schema = document.webhooks['webhook.test']?.post.requestBody?.content['application/json']?.schema;
    const sent = receiver.received.find(({ json }) => json.type === 'webhook.test');
    expect(validatorOf(schema as object).validate(sent?.json)).toEqual([]);
  });

  it('should fit the document when it refuses', async () => {
    const refusals = [
      await call('POST', '/v1/jobs', {}),
      await call('GET', '/v1/jobs/01935000-0000-7000-8000-000000000001'),
      await call('POST', '/v1/jobs', { ...video, video_url: 'https://media.example.com/not-a-video' }),
    ];
    expect(refusals.map(({ status }) => status)).toEqual([400, 404, 400]);
    const problem = validatorOf(schemaOf('/v1/jobs', 'post', '400', 'application/problem+json'));
    for (const { json } of refusals) expect(problem.validate(json)).toEqual([]);
  });

  it('should send webhooks that fit the document', async () => {
    await eventually(
      () => receiver.types(),
      (types) => types.includes('job.finished') && types.includes('image.finished'),
    );
    for (const { json } of receiver.received) {
      const schema = document.webhooks[json.type]?.post.requestBody?.content['application/json']?.schema;
      expect([json.type, validatorOf(schema ?? { not: {} }).validate(json)]).toEqual([json.type, []]);
    }
  });

  it('should show the document to people at /docs, without a key', async () => {
    const page = await fetch(`${gateway.url}/docs`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
    const html = await page.text();
    const assets = [...html.matchAll(/(?:src|href)="(\.?\/[^"]+)"/g)].map(([, path]) => new URL(path ?? '', page.url));
    expect(assets.length).toBeGreaterThan(0);
    for (const asset of assets) {
      expect(asset.origin).toBe(new URL(gateway.url).origin);
      expect([asset.pathname, (await fetch(asset)).status]).toEqual([asset.pathname, 200]);
    }
  });
});
