import { describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import { exchange, expectRefused, useWorld, VIDEO, ADMIN, type RawRequest } from '../../support/world.js';

const JSON_TYPE = { 'content-type': 'application/json' };

describe('a JSON body', () => {
  const world = useWorld();
  const send = (body: Buffer | string | undefined, headers: object = JSON_TYPE, rest: RawRequest = {}) =>
    exchange(world.gateway.url, {
      headers: { ...world.auth, ...headers },
      ...(body !== undefined && { body }),
      ...rest,
    });

  it.each([
    '{',
    '{"video_url":"https://a.example/x.mp4","ml_models":[1]',
    "{'video_url':'x'}",
    '{"video_url":"x",}',
    'video_url=x',
    '{"crf": NaN}',
    '{"crf": Infinity}',
    '{"crf": -Infinity}',
    '{"crf": 0x10}',
    '{"crf": 01}',
    '{"a":1}{"b":2}',
    '\u0000{}',
    '{"video_url":"\u0001"}',
    '<xml/>',
  ])('should be refused when it is not JSON: %j', async (body) => {
    const problem = await expectRefused(world, () => send(body), 400, 'validation_failed');
    expect(problem.non_field_errors).toEqual(['The body is not valid JSON.']);
  });

  it.each(['[]', '[{}]', `[${JSON.stringify(VIDEO)}]`, '"text"', '1', 'true', 'false', '1e999'])(
    'should be refused when it is no object: %s',
    async (body) => {
      const problem = await expectRefused(world, () => send(body), 400, 'validation_failed');
      expect(problem.non_field_errors).toHaveLength(1);
    },
  );

  it.each(['null', '', '{}', undefined])('should be refused when it holds nothing: %p', async (body) => {
    await expectRefused(world, () => send(body), 400, 'validation_failed');
  });

  it.each(['null', '[]', '"x"', '0'])('should not count as an empty change of a tenant when it is %s', async (body) => {
    const path = `/v1/tenants/${world.tenant.id}`;
    const headers = { ...JSON_TYPE, ...ADMIN };
    await expectRefused(world, () => send(body, headers, { method: 'PATCH', path }), 400, 'validation_failed');
  });

  it.each([
    ['crf', '1e999'],
    ['grain', '1e999'],
    ['grain', '-1e999'],
    ['start_frame', '1e400'],
    ['output_resolution', '1e999'],
    ['ml_models', '[1e999]'],
  ])('should be refused with an infinite %s', async (name, value) => {
    const rest = name === 'ml_models' ? '' : ',"ml_models":[1]';
    const body = `{"video_url":"https://media.example.com/in.mp4","${name}":${value}${rest}}`;
    const problem = await expectRefused(world, () => send(body), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual([name]);
  });

  it.each([
    'unknown',
    'Video_url',
    'video_url ',
    '',
    'toString',
    'constructor',
    'hasOwnProperty',
    'valueOf',
    'then',
    'status',
    'tenant_id',
    '\u0000',
    'é',
  ])('should be refused with the unknown field %j, by its name', async (name) => {
    const body = JSON.stringify({ ...VIDEO, [name]: 'x' });
    const problem = await expectRefused(world, () => send(body), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual([name]);
  });

  it.each([
    '{"__proto__":{"crf":20},"video_url":"https://a.example/x.mp4","ml_models":[1]}',
    '{"__proto__":null,"video_url":"https://a.example/x.mp4","ml_models":[1]}',
    '{"\\u005f_proto__":{"x":1},"video_url":"https://a.example/x.mp4","ml_models":[1]}',
    '{"constructor":{"prototype":{"x":1}},"video_url":"https://a.example/x.mp4","ml_models":[1]}',
    '{"video_url":"https://a.example/x.mp4","ml_models":[1],"metadata":{"__proto__":{"x":"1"}}}',
    '{"video_url":"https://a.example/x.mp4","ml_models":[1],"metadata":{"constructor":{"prototype":{"x":"1"}}}}',
  ])('should be refused when it reaches for a prototype: %s', async (body) => {
    const problem = await expectRefused(world, () => send(body), 400, 'validation_failed');
    expect(problem.non_field_errors).toEqual([expect.stringContaining('must not have a field "__proto__"')]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('should be refused when a field is given a lone surrogate as its name', async () => {
    const body = '{"\\ud800":1,"video_url":"https://a.example/x.mp4","ml_models":[1]}';
    await expectRefused(world, () => send(body), 400, 'validation_failed');
  });

  it.each([
    ['an overlong slash', Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])],
    ['a lone continuation', Buffer.from([0x7b, 0x22, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['Latin-1', Buffer.from('{"external_id":"é"}', 'latin1')],
    ['UTF-16', Buffer.from(JSON.stringify(VIDEO), 'utf16le')],
    ['an encoded surrogate', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
  ])('should be refused when it is not UTF-8: %s', async (_, body) => {
    await expectRefused(world, () => send(body), 400, 'validation_failed');
  });

  it.each([
    ['charset=utf-16', 'application/json; charset=utf-16'],
    ['charset=utf-16le, quoted', 'application/json; charset="utf-16le"'],
    ['charset=iso-8859-1', 'application/json;charset=ISO-8859-1'],
    ['a form in Latin-1', 'application/x-www-form-urlencoded; charset=latin1'],
    ['plain text', 'text/plain'],
    ['XML', 'application/xml'],
    ['a stream of bytes', 'application/octet-stream'],
    ['JSON of another kind', 'application/jsonx'],
    ['no media type at all', 'nonsense'],
    ['an empty one', ''],
  ])('should be refused in another media type or charset: %s', async (_, type) => {
    await expectRefused(
      world,
      () => send(JSON.stringify(VIDEO), { 'content-type': type }),
      415,
      'unsupported_media_type',
    );
  });

  it.each([
    ['gzip', gzipSync(JSON.stringify(VIDEO))],
    ['GZIP', JSON.stringify(VIDEO)],
    ['br', JSON.stringify(VIDEO)],
    ['identity, deflate', JSON.stringify(VIDEO)],
    ['nonsense', JSON.stringify(VIDEO)],
  ])('should be refused in the content coding %s', async (coding, body) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': coding };
    const { detail } = await expectRefused(world, () => send(body, headers), 415, 'unsupported_media_type');
    expect(detail).toContain('content-encoding');
    expect((await send(body, headers)).headers['accept-encoding']).toBe('identity');
  });

  it('should be refused in a content coding as a form, too', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const headers = { 'content-type': type, 'content-encoding': 'gzip' };
      const { detail } = await expectRefused(world, () => send('a=b', headers), 415, 'unsupported_media_type');
      expect(detail).toContain('content-encoding');
    }
  });

  it.each(['identity', 'Identity', ''])('should be taken in the content coding %j', async (coding) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': coding };
    expect((await send(JSON.stringify(VIDEO), headers)).status).toBe(201);
  });

  it('should be refused without a content type', async () => {
    await expectRefused(world, () => send(JSON.stringify(VIDEO), {}), 415, 'unsupported_media_type');
  });

  it.each(['application/json; charset=utf-8', 'application/json; charset="UTF-8"', 'APPLICATION/JSON'])(
    'should be taken as %s',
    async (type) => {
      const answer = await send(JSON.stringify(VIDEO), { 'content-type': type });
      expect(answer.status).toBe(201);
    },
  );

  it.each([
    ['with a content-length', false],
    ['in chunks', true],
  ])('should be refused when it has 10 MB, sent %s', async (_, chunked) => {
    const body = JSON.stringify({ ...VIDEO, external_id: 'a'.repeat(10 * 1024 * 1024) });
    await expectRefused(world, () => send(body, JSON_TYPE, { chunked }), 413, 'payload_too_large');
  });

  it.each([
    ['application/x-www-form-urlencoded', 'external_id='],
    ['multipart/form-data; boundary=b', '--b\r\nContent-Disposition: form-data; name="external_id"\r\n\r\n'],
  ])('should be refused when it has 10 MB as %s', async (type, start) => {
    const body = start + 'a'.repeat(10 * 1024 * 1024);
    await expectRefused(world, () => send(body, { 'content-type': type }), 413, 'payload_too_large');
    await expectRefused(world, () => send(body, { 'content-type': type }, { chunked: true }), 413, 'payload_too_large');
  });

  it('should be refused one byte above 1 MiB, and read at 1 MiB', async () => {
    const fill = (size: number) => {
      const frame = JSON.stringify({ ...VIDEO, external_id: '' });
      return JSON.stringify({ ...VIDEO, external_id: 'a'.repeat(size - frame.length) });
    };
    await expectRefused(world, () => send(fill(1_048_577)), 413, 'payload_too_large');
    const problem = await expectRefused(world, () => send(fill(1_048_576)), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(['external_id']);
  });

  it('should be refused when it is nested very deeply', async () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    for (const name of ['unknown', 'metadata', 'ml_models', 'video_url', 'callback_events']) {
      const body = `{"video_url":"https://a.example/x.mp4","${name}":${deep}}`;
      await expectRefused(world, () => send(body), 400, 'validation_failed');
    }
  });

  it('should be refused with tens of thousands of unknown fields, of which some are named', async () => {
    const many = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`f${i}`, 1]));
    const problem = await expectRefused(world, () => send(JSON.stringify(many)), 400, 'validation_failed');
    expect(Object.keys(problem.errors).filter((name) => /^f\d+$/.test(name))).toHaveLength(50);
    expect(problem.errors).toHaveProperty('video_url');
  });

  it('should be refused when the name of a field fills it', async () => {
    const name = `key?${'a'.repeat(1_000_000)}`;
    const problem = await expectRefused(world, () => send(JSON.stringify({ ...VIDEO, [name]: 1 })), 400);
    expect(problem.errors).toEqual({ [name.slice(0, 100)]: ['is not a known field'] });
  });

  it('should be ignored where a route takes none', async () => {
    await request(world.gateway.url).get('/health/live').send({ a: 1 }).expect(200);
  });
});
