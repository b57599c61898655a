import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import addFormatsModule from 'ajv-formats';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { parse } from 'yaml';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';

interface Schema {
  $ref?: string;
  required?: string[];
  properties?: Record<string, { readOnly?: boolean }>;
}
interface Operation {
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const document = parse(readFileSync(new URL('../../simulator/openapi.yaml', import.meta.url), 'utf8')) as Document;
const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormatsModule as unknown as (target: Ajv2020) => void)(ajv);
ajv.addFormat('decimal', /^-?\d+(?:\.\d+)?$/);
ajv.addSchema(document, 'openapi');

const VIDEO = { video_url: 'https://example.com/a.mp4', ml_models: [1, 3] };
const IMAGE = {
  url: 'https://example.com/a.png',
  output_format: 'png',
  enhancement_type: 'sr2x',
  face_enhance: false,
  watermark: false,
};

let simulator: Simulator;
const seen = new Set<string>();

beforeAll(async () => {
  simulator = await startSimulator({ frozenClock: true, queueMs: 1_000, durationMs: 9_000 });
});
afterAll(async () => {
  await simulator.close();
});

/** Calls an operation and checks status and body against the OpenAPI file; returns the body. */
async function check(
  method: string,
  template: string,
  status: number,
  options: { id?: number; body?: unknown; token?: string; query?: string } = {},
) {
  const path = template.replace('{id}', String(options.id)) + (options.query ?? '');
  const isForm = options.body instanceof FormData;
  const response = await fetch(simulator.url + path, {
    method,
    headers: {
      authorization: `Token ${options.token ?? 'demo-token'}`,
      ...(options.body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
    },
    ...(options.body === undefined ? {} : { body: isForm ? (options.body as FormData) : JSON.stringify(options.body) }),
  });
  const text = await response.text();
  expect([method, path, response.status, text]).toEqual([method, path, status, text]);
  const declared = document.paths[template]?.[method.toLowerCase()]?.responses[String(status)];
  if (declared === undefined) throw new Error(`${method} ${template} does not declare ${status}`);
  seen.add(`${method.toLowerCase()} ${template} ${status}`);
  const schema = declared.content?.['application/json']?.schema;
  if (schema === undefined) {
    expect(text).toBe('');
    return null;
  }
  const body: unknown = JSON.parse(text);
  const validate = ajv.compile({ $ref: `openapi${schema.$ref}` });
  validate(body);
  expect(validate.errors ?? []).toEqual([]);
  return body as Record<string, unknown>;
}

async function createJob(body: object = VIDEO): Promise<number> {
  return Number((await check('POST', '/api/jobs/from-url/', 201, { body }))?.['id']);
}

async function finishedJob(): Promise<Record<string, unknown>> {
  const id = await createJob();
  simulator.control.advanceClock(10_000);
  return (await check('GET', '/api/jobs/{id}/', 200, { id })) ?? {};
}

async function upload(): Promise<number> {
  const form = new FormData();
  form.set('file', new Blob(['0123456789']), 'clip.mp4');
  return Number((await check('POST', '/api/videos/', 201, { body: form }))?.['id']);
}

describe('every operation answers as the OpenAPI file says', () => {
  it('should create a video job from a URL, and refuse bad fields', async () => {
    await createJob();
    await check('POST', '/api/jobs/from-url/', 400, { body: { ...VIDEO, crf: 99, video_url: 'nonsense' } });
    await check('POST', '/api/jobs/from-url/', 400, { body: { ...VIDEO, ml_models: [1, 16] } });
  });

  it('should enhance an image, and refuse bad fields', async () => {
    await check('POST', '/api/images/enhance/from-url/', 201, { body: IMAGE });
    await check('POST', '/api/images/enhance/from-url/', 400, { body: { ...IMAGE, output_format: 'bmp' } });
  });

  it('should show a job in each of its states, in the list and by id', async () => {
    const id = await createJob();
    await check('GET', '/api/jobs/{id}/', 200, { id });
    simulator.control.advanceClock(5_000);
    await check('GET', '/api/jobs/{id}/', 200, { id });
    simulator.control.advanceClock(5_000);
    const job = await check('GET', '/api/jobs/{id}/', 200, { id });
    expect(job).toMatchObject({ status: 2, processing_progress: 1, output_video: { job_id: id } });
    await createJob({ ...VIDEO, video_url: 'https://example.com/sim-fail.mp4' });
    simulator.control.advanceClock(10_000);
    await check('GET', '/api/jobs/', 200, { query: '?limit=2&offset=1' });
    await check('GET', '/api/jobs/{id}/', 404, { id: 1 });
  });

  it('should cancel a job once', async () => {
    const id = await createJob();
    await check('DELETE', '/api/jobs/{id}/', 204, { id });
    await check('DELETE', '/api/jobs/{id}/', 409, { id });
    await check('DELETE', '/api/jobs/{id}/', 404, { id: 1 });
    await check('GET', '/api/jobs/{id}/', 200, { id });
    const other = await createJob();
    simulator.control.changeJob(other, { cancellable: false });
    await check('DELETE', '/api/jobs/{id}/', 500, { id: other });
  });

  it('should keep ended jobs in the history, with the status as a string', async () => {
    const job = await finishedJob();
    const entry = await check('GET', '/api/jobs/history/{id}/', 200, { id: Number(job['id']) });
    expect(entry?.['status']).toBe('Finished');
    await check('GET', '/api/jobs/history/{id}/', 404, { id: await createJob() });
  });

  it('should list, show and delete enhanced videos', async () => {
    const output = (await finishedJob())['output_video'] as { id: number };
    await check('GET', '/api/restored-videos/', 200);
    await check('GET', '/api/restored-videos/{id}/', 200, { id: output.id });
    await check('DELETE', '/api/restored-videos/{id}/', 204, { id: output.id });
    await check('DELETE', '/api/restored-videos/{id}/', 404, { id: output.id });
    await check('GET', '/api/restored-videos/{id}/', 404, { id: output.id });
  });

  it('should take uploads, run jobs on them and delete them when no job uses them', async () => {
    const id = await upload();
    await check('GET', '/api/videos/', 200);
    await check('GET', '/api/videos/{id}/', 200, { id });
    await check('POST', '/api/jobs/', 201, { body: { input_video: id, ml_models: [2] } });
    await check('DELETE', '/api/videos/{id}/', 409, { id });
    simulator.control.advanceClock(10_000);
    await check('DELETE', '/api/videos/{id}/', 204, { id });
    await check('DELETE', '/api/videos/{id}/', 404, { id });
    await check('GET', '/api/videos/{id}/', 404, { id });
    await check('POST', '/api/jobs/', 400, { body: { input_video: id, ml_models: [2] } });
    await check('POST', '/api/videos/', 400, { body: new FormData() });
  });

  it('should list the AI filters by pages and show the balance', async () => {
    const page = await check('GET', '/api/ml-models/', 200, { query: '?page=2&page_size=6' });
    expect(page).toMatchObject({ count: 21, next: `${simulator.url}/api/ml-models/?page=3&page_size=6` });
    await check('GET', '/api/accounts/profile/balance/', 200);
  });

  it('should answer every operation with the declared errors of authentication, permission and throttling', async () => {
    for (const [template, operations] of Object.entries(document.paths)) {
      for (const name of Object.keys(operations)) {
        const method = name.toUpperCase();
        await check(method, template, 401, { id: 1, token: 'unknown' });
        for (const [kind, status] of [
          ['forbidden', 403],
          ['rate_limited', 429],
        ] as const) {
          simulator.control.addFault({ times: 1, fault: kind });
          await check(method, template, status, { id: 1 });
        }
      }
    }
  });

  it('should answer creations with the declared errors of credits and server', async () => {
    for (const template of ['/api/jobs/from-url/', '/api/images/enhance/from-url/', '/api/jobs/']) {
      for (const [kind, status] of [
        ['payment_required', 402],
        ['server_error', 500],
        ['no_credits_400', 400],
        ['storage_400', 400],
      ] as const) {
        simulator.control.addFault({ times: 1, fault: kind });
        await check('POST', template, status, { body: {} });
      }
    }
    simulator.control.addFault({ times: 1, fault: 'server_error' });
    await check('POST', '/api/videos/', 500, { body: new FormData() });
  });

  it('should have shown every declared answer, apart from the 400s of deletions, which nothing is known about', () => {
    const declared = Object.entries(document.paths).flatMap(([template, operations]) =>
      Object.entries(operations).flatMap(([name, operation]) =>
        Object.keys(operation.responses).map((status) => `${name} ${template} ${status}`),
      ),
    );
    const missing = declared.filter((entry) => !seen.has(entry));
    expect(missing.filter((entry) => !/^delete .* 400$/.test(entry))).toEqual([]);
  });
});

describe('validation agrees with the schema', () => {
  const ODD = [
    null,
    true,
    false,
    '',
    '1',
    'x',
    -2,
    -1,
    0,
    0.05,
    0.1,
    0.5,
    1,
    1.5,
    10,
    11,
    40,
    41,
    51,
    52,
    240,
    241,
    640,
    641,
    3840,
    2 ** 31 - 1,
    2 ** 31,
    [],
    [1],
    ['a'],
    [1.5],
    {},
  ];

  /** The request schema without what only belongs to the answer. */
  function requestSchema(name: string): Schema {
    const schema = structuredClone(document.components.schemas[name] ?? {});
    const readOnly = Object.entries(schema.properties ?? {}).filter(([, property]) => property.readOnly === true);
    for (const [property] of readOnly) delete schema.properties?.[property];
    schema.required = (schema.required ?? []).filter((entry) => schema.properties?.[entry] !== undefined);
    const absolute = JSON.stringify(schema).replaceAll('"#/components', '"openapi#/components');
    return JSON.parse(absolute) as Schema;
  }

  async function agree(name: string, path: string, valid: Record<string, unknown>): Promise<void> {
    const schema = requestSchema(name);
    const validate = ajv.compile(schema);
    const fields = Object.keys(schema.properties ?? {}).filter((field) => !(field in valid) || field === 'ml_models');
    const enums = ['libx264', 'libx265', 'prores_ks', 'mov', 'mp4', 'mkv', 'yuv420p', 'yuv444p10le'];
    const change = fc.dictionary(fc.constantFrom(...fields), fc.constantFrom(...ODD, ...enums), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(change, async (changes) => {
        const body = { ...valid, ...changes };
        const response = await fetch(simulator.url + path, {
          method: 'POST',
          headers: { authorization: 'Token demo-token', 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        expect([response.status, body]).toEqual([validate(body) ? 201 : 400, body]);
      }),
      { numRuns: 600, seed: 7 },
    );
  }

  it('should accept and refuse the same video jobs as an independent validator', async () => {
    await agree('EnhanceVideo', '/api/jobs/from-url/', VIDEO);
  });

  it('should accept and refuse the same jobs on uploads as an independent validator', async () => {
    await agree('CreateJob', '/api/jobs/', { input_video: await upload(), ml_models: [1] });
  });

  it('should refuse an image without any one of its required fields', async () => {
    for (const field of document.components.schemas['UrlImageEnhancement']?.required ?? []) {
      const body = Object.fromEntries(Object.entries(IMAGE).filter(([name]) => name !== field));
      const answer = await check('POST', '/api/images/enhance/from-url/', 400, { body });
      expect(answer).toEqual({ errors: { [field]: ['This field is required.'] }, non_field_errors: [] });
    }
  });
});
