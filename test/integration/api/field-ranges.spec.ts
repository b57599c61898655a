import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import request from 'supertest';
import { parse } from 'yaml';
import { expectRefused, IMAGE, useWorld, VIDEO } from '../../support/world.js';

interface Schema {
  type?: string | string[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  enum?: unknown[];
  allOf?: Schema[];
  oneOf?: Schema[];
  $ref?: string;
  readOnly?: boolean;
  properties?: Record<string, Schema>;
}

const file = new URL('../../../simulator/openapi.yaml', import.meta.url);
const { components } = parse(readFileSync(file, 'utf8')) as { components: { schemas: Record<string, Schema> } };

interface Field {
  name: string;
  types: string[];
  min: number | undefined;
  max: number | undefined;
  values: unknown[] | undefined;
  nullable: boolean;
}

const resolved = (schema: Schema): Schema =>
  schema.$ref ? (components.schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}) : schema;

/** The request fields of a schema of TensorPix's document. */
function fieldsOf(schemaName: string): Field[] {
  return Object.entries(components.schemas[schemaName]?.properties ?? {})
    .filter(([, schema]) => !schema.readOnly)
    .map(([name, schema]) => {
      const alternatives = [...(schema.allOf ?? []), ...(schema.oneOf ?? [])].map(resolved);
      const values = alternatives.flatMap((alternative) => alternative.enum ?? []);
      const types = [schema.type, ...alternatives.map(({ type }) => type)].flat().filter((type) => type !== undefined);
      return {
        name,
        types,
        min: values.length > 0 ? undefined : schema.minimum,
        max: values.length > 0 ? undefined : schema.maximum,
        values: values.length > 0 ? values : undefined,
        nullable: types.includes('null'),
      };
    });
}

const VIDEO_FIELDS = fieldsOf('EnhanceVideo').filter(({ name }) => !['cost_usd', 'id', 'input_video'].includes(name));
const ranged = VIDEO_FIELDS.filter(({ min, max }) => min !== undefined && max !== undefined);
/** `end_frame` has to stay above `start_frame`, which is left out here. */
const isWhole = ({ types }: Field) => types.includes('integer');

/** A value of every JSON type that a field of this kind must not take. */
function wrongTypes({ name, types, values, nullable }: Field): unknown[] {
  const all: [string, unknown][] = [
    ['string', 'abc'],
    ['string', '1'],
    ['boolean', true],
    ['integer', 7],
    ['array', [1]],
    ['array', []],
    ['object', {}],
    ['object', { $gt: 0 }],
  ];
  const fits = (kind: string) =>
    values === undefined && (types.includes(kind) || (kind === 'integer' && types.includes('number')));
  const wrong = all.filter(([kind]) => !fits(kind)).map(([, value]) => value);
  return name === 'ml_models' || nullable ? wrong : [...wrong, null];
}

describe("TensorPix's fields", () => {
  const world = useWorld({}, { queueMs: 600_000 });
  const post = (body: object) => () => request(world.gateway.url).post('/v1/jobs').set(world.auth).send(body);

  it('should be sixteen, so that the table below is whole', () => {
    expect(VIDEO_FIELDS).toHaveLength(16);
    expect(ranged.map(({ name }) => name).sort()).toEqual(
      [
        'crf',
        'end_frame',
        'grain',
        'playback_speed',
        'sharpen_strength',
        'stabilization_smoothing',
        'start_frame',
        'target_fps',
      ].sort(),
    );
  });

  describe.each(ranged.map((field) => [field.name, field] as const))('%s', (name, field) => {
    const { min = 0, max = 0 } = field;
    const step = isWhole(field) ? 1 : 0.001;

    it.each([min, max])('should take %p and send it as it is', async (value) => {
      const answer = await post({ ...VIDEO, [name]: value })();
      expect({ status: answer.status, input: answer.body.input }).toEqual({
        status: 201,
        input: { ...VIDEO, [name]: value },
      });
      expect(world.simulator.control.requests().findLast(({ method }) => method === 'POST')?.body).toEqual({
        ...VIDEO,
        [name]: value,
      });
    });

    it.each([min - step, max + step, min - 1e15, 1e300, -1e300])('should refuse %p', async (value) => {
      const problem = await expectRefused(world, post({ ...VIDEO, [name]: value }), 400, 'validation_failed');
      expect(Object.keys(problem.errors)).toEqual([name]);
    });

    if (isWhole(field))
      it('should refuse a fraction', async () => {
        const problem = await expectRefused(world, post({ ...VIDEO, [name]: min + 0.5 }), 400, 'validation_failed');
        expect(Object.keys(problem.errors)).toEqual([name]);
      });
  });

  describe.each(VIDEO_FIELDS.filter(({ values }) => values).map((field) => [field.name, field] as const))(
    '%s',
    (name, field) => {
      it.each(field.values ?? [])('should take %p', async (value) => {
        const answer = await post({ ...VIDEO, [name]: value })();
        expect({ status: answer.status, input: answer.body.input }).toEqual({
          status: 201,
          input: { ...VIDEO, [name]: value },
        });
      });

      it.each(['LIBX264', ' mp4', 'toString', '__proto__', 0, 641, 1920.5])('should refuse %p', async (value) => {
        await expectRefused(world, post({ ...VIDEO, [name]: value }), 400, 'validation_failed');
      });
    },
  );

  describe.each(VIDEO_FIELDS.map((field) => [field.name, field] as const))('%s', (name, field) => {
    it.each(wrongTypes(field).map((value) => [JSON.stringify(value), value]))(
      'should refuse the type of %s',
      async (_, value) => {
        const isList = name === 'ml_models' && Array.isArray(value) && value.length > 0;
        if (isList) return;
        const problem = await expectRefused(world, post({ ...VIDEO, [name]: value }), 400, 'validation_failed');
        expect(Object.keys(problem.errors)).toEqual([name]);
      },
    );

    it(field.nullable ? 'should take null' : 'should refuse null', async () => {
      if (!field.nullable) {
        const problem = await expectRefused(world, post({ ...VIDEO, [name]: null }), 400, 'validation_failed');
        expect(Object.keys(problem.errors)).toEqual([name]);
        return;
      }
      const answer = await post({ ...VIDEO, [name]: null })();
      expect(answer.status).toBe(201);
    });
  });

  it.each([
    [[], 'empty'],
    [[1, 1], 'repeated'],
    [[1, 1.0], 'repeated, written in two ways'],
    [[1.5], 'a fraction'],
    [['1'], 'a text'],
    [[null], 'null'],
    [[true], 'a boolean'],
    [[[1]], 'a list'],
    [[2 ** 31], 'too large'],
    [[1e300], 'much too large'],
    [Array.from({ length: 100_000 }, (_, i) => i), 'a hundred thousand'],
  ])('should refuse ml_models that are wrong', async (models, _why) => {
    const problem = await expectRefused(world, post({ ...VIDEO, ml_models: models }), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(['ml_models']);
  });

  it.each([
    [5, 5],
    [6, 5],
    [2147483647, 1],
  ])('should refuse start_frame %p with end_frame %p', async (start_frame, end_frame) => {
    const problem = await expectRefused(world, post({ ...VIDEO, start_frame, end_frame }), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(['end_frame']);
  });

  it('should name every field that is wrong at once', async () => {
    const body = { ...VIDEO, crf: 52, grain: 2, codec: 'x', preview: 'yes', unknown: 1, end_frame: 0 };
    const problem = await expectRefused(world, post(body), 400, 'validation_failed');
    expect(Object.keys(problem.errors).sort()).toEqual(['codec', 'crf', 'end_frame', 'grain', 'preview', 'unknown']);
    expect(problem.detail).toBe('6 fields are invalid.');
  });

  it("should refuse TensorPix's read-only fields", async () => {
    const body = { ...VIDEO, id: 1, cost_usd: '1.0', input_video: 5 };
    const problem = await expectRefused(world, post(body), 400, 'validation_failed');
    expect(Object.keys(problem.errors).sort()).toEqual(['cost_usd', 'id', 'input_video']);
  });
});

describe("TensorPix's fields of an image", () => {
  const world = useWorld();
  const post = (body: object) => () => request(world.gateway.url).post('/v1/images').set(world.auth).send(body);

  it.each(Object.keys(IMAGE))('should require %s', async (name) => {
    const problem = await expectRefused(world, post({ ...IMAGE, [name]: undefined }), 400, 'validation_failed');
    expect(problem.errors).toEqual({ [name]: ['is required'] });
  });

  it.each([
    { url: 'http' },
    { url: `https://media.example.com/${'a'.repeat(1000)}` },
    { url: null },
    { url: 'https://youtu.be/abc' },
    { enhancement_type: 'sr8x' },
    { enhancement_type: null },
    { enhancement_type: ['sr2x'] },
    { output_format: 'PNG' },
    { output_format: null },
    { face_enhance: 'false' },
    { face_enhance: null },
    { watermark: 1 },
    { watermark: null },
    { callback_events: ['job.finished'] },
    { ml_models: [1] },
  ])('should refuse %p', async (wrong) => {
    const problem = await expectRefused(world, post({ ...IMAGE, ...wrong }), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(Object.keys(wrong));
  });
});
