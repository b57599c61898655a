import { describe, expect, it } from '@jest/globals';
import { exchange, expectRefused, multipart, useWorld, VIDEO } from '../../support/world.js';

const FORM = 'application/x-www-form-urlencoded';
const PARTS = [
  { name: 'video_url', value: VIDEO.video_url },
  { name: 'ml_models', value: '1' },
];

describe('a urlencoded form', () => {
  const world = useWorld({}, { queueMs: 600_000 });
  const send = (body: string, type = FORM) =>
    exchange(world.gateway.url, { headers: { ...world.auth, 'content-type': type }, body });
  const base = `video_url=${encodeURIComponent(VIDEO.video_url)}&ml_models=1`;

  it('should be taken, with every type converted', async () => {
    const metadata = encodeURIComponent('{"team":"é&="}');
    const answer = await send(
      `${base}&ml_models=4&crf=20&grain=0.5&comparison=true&preview=false&start_frame=&end_frame=10&chroma_subsampling=` +
        `&callback_events=job.finished&callback_events=job.failed&external_id=007&metadata=${metadata}`,
    );
    expect({ status: answer.status, body: answer.body }).toMatchObject({
      status: 201,
      body: {
        input: {
          ...VIDEO,
          ml_models: [1, 4],
          crf: 20,
          grain: 0.5,
          comparison: true,
          preview: false,
          start_frame: null,
          end_frame: 10,
          chroma_subsampling: '',
        },
        external_id: '007',
        metadata: { team: 'é&=' },
      },
    });
  });

  it.each(['020', '+20', '20.0', ' 20', '20 ', '0x14', '1e1', '2_0', '', 'twenty', 'NaN', 'Infinity', '٢٠'])(
    'should be refused with the integer %j',
    async (text) => {
      const problem = await expectRefused(world, () => send(`${base}&crf=${encodeURIComponent(text)}`), 400);
      expect(Object.keys(problem.errors)).toEqual(['crf']);
    },
  );

  it.each(['.5', '0.', '+0.5', ' 0.5', '0,5', '1e999', 'NaN', 'Infinity', '-Infinity', '', '0x0', '1e', '00.5'])(
    'should be refused with the number %j',
    async (text) => {
      const problem = await expectRefused(world, () => send(`${base}&grain=${encodeURIComponent(text)}`), 400);
      expect(Object.keys(problem.errors)).toEqual(['grain']);
    },
  );

  it.each(['1', '0', 'yes', 'no', 'on', 'TRUE', 'tRue', ' true', '', 'null', 'toString', '__proto__'])(
    'should be refused with the boolean %j',
    async (text) => {
      const problem = await expectRefused(world, () => send(`${base}&preview=${encodeURIComponent(text)}`), 400);
      expect(Object.keys(problem.errors)).toEqual(['preview']);
    },
  );

  it.each([
    ['crf', 'crf=20&crf=20'],
    ['video_url', base],
    ['metadata', 'metadata=%7B%7D&metadata=%7B%7D'],
    ['preview', 'preview=true&preview=true'],
    ['external_id', 'external_id=a&external_id=b'],
  ])('should be refused with a repeated %s', async (name, more) => {
    const problem = await expectRefused(world, () => send(`${base}&${more}`.replace('&ml_models=1', '')), 400);
    expect(problem.errors).toMatchObject({ [name]: [expect.stringContaining('once')] });
  });

  it.each(['ml_models=', 'ml_models=1&ml_models=1', 'ml_models=1,2', 'ml_models=%5B1%5D', 'ml_models=1&ml_models='])(
    'should be refused with %s',
    async (models) => {
      const body = `video_url=${encodeURIComponent(VIDEO.video_url)}&${models}`;
      const problem = await expectRefused(world, () => send(body), 400);
      expect(Object.keys(problem.errors)).toEqual(['ml_models']);
    },
  );

  it.each(['ml_models[]=2', 'unknown=1', '__proto__=1', 'constructor=1', 'metadata[a]=b', '=1', 'a%00b=1'])(
    'should be refused with the unknown field of %s',
    async (more) => {
      const problem = await expectRefused(world, () => send(`${base}&${more}`), 400);
      expect(Object.keys(problem.errors)).toHaveLength(1);
    },
  );

  it.each([
    '{',
    '[]',
    '"a"',
    '1',
    'null x',
    '{"a":1}',
    '{"__proto__":"b","a":"c"}',
    '{"constructor":{"prototype":"b"}}',
  ])('should be refused with the metadata %s', async (text) => {
    const problem = await expectRefused(world, () => send(`${base}&metadata=${encodeURIComponent(text)}`), 400);
    expect(Object.keys(problem.errors)).toEqual(['metadata']);
  });

  it('should say of a forbidden name in the metadata what is said of it in a JSON body', async () => {
    const metadata = '{"__proto__":"b","a":"c"}';
    const { errors } = await expectRefused(world, () => send(`${base}&metadata=${encodeURIComponent(metadata)}`), 400);
    const body = `{"video_url":"${VIDEO.video_url}","ml_models":[1],"metadata":${metadata}}`;
    const { non_field_errors } = await expectRefused(world, () => send(body, 'application/json'), 400);
    expect(non_field_errors).toEqual([`The body ${errors.metadata?.[0]}.`]);
  });

  it('should be taken with metadata that are null', async () => {
    expect(await send(`${base}&metadata=null`)).toMatchObject({ status: 201, body: { metadata: {} } });
  });

  it('should be refused with a NUL in a value', async () => {
    await expectRefused(world, () => send(`${base}&external_id=a%00b`), 400);
  });

  it('should be refused when an escape is no UTF-8, rather than stored with another character', async () => {
    await expectRefused(world, () => send(`${base}&external_id=a%FFb`), 400);
  });

  it('should be refused with thousands of fields', async () => {
    await expectRefused(world, () => send(`${base}${'&ml_models=1'.repeat(50_000)}`), 400);
  });

  it.each(['', '&&&', '='])('should be refused when it is %j', async (body) => {
    await expectRefused(world, () => send(body), 400);
  });
});

describe('a multipart form', () => {
  const world = useWorld({}, { queueMs: 600_000 });
  const send = (body: Buffer | string, type = 'multipart/form-data; boundary=xYz') =>
    exchange(world.gateway.url, { headers: { ...world.auth, 'content-type': type }, body });
  const form = (...parts: Parameters<typeof multipart>[1]) => multipart('xYz', parts);

  it('should be taken, with every type converted', async () => {
    const body = form(
      ...PARTS,
      { name: 'ml_models', value: '4' },
      { name: 'crf', value: '20' },
      { name: 'external_id', value: 'é' },
    );
    const answer = await send(body);
    expect({ status: answer.status, body: answer.body }).toMatchObject({
      status: 201,
      body: { input: { ...VIDEO, ml_models: [1, 4], crf: 20 }, external_id: 'é' },
    });
  });

  it.each([
    ['beside the fields', [...PARTS, { name: 'video', value: 'bytes', extra: '; filename="a.mp4"' }]],
    ['in place of a field', [PARTS[1], { name: 'video_url', value: VIDEO.video_url, extra: '; filename="u.txt"' }]],
    [
      'twice',
      [
        { name: 'a', value: 'x', extra: '; filename="a"' },
        { name: 'b', value: 'x', extra: '; filename="b"' },
      ],
    ],
    ['of many bytes', [{ name: 'a', value: 'x'.repeat(900_000), extra: '; filename="a"' }, ...PARTS]],
    ['by its type', [...PARTS, { name: 'a', value: 'x', headers: 'Content-Type: application/octet-stream\r\n' }]],
  ])('should be refused with a file %s', async (_, parts) => {
    const problem = await expectRefused(world, () => send(form(...(parts as typeof PARTS))), 400);
    expect(Object.keys(problem.errors)).not.toHaveLength(0);
  });

  const whole = form(...PARTS).toString();
  const file = form({ name: 'a', value: 'x'.repeat(5_000), extra: '; filename="a"' }, ...PARTS).toString();
  it.each([
    ['nothing', ''],
    ['no boundary in it', 'hello'],
    ['another boundary', whole.replaceAll('xYz', 'other')],
    ['only the last boundary', '--xYz--\r\n'],
    ['only a boundary', '--xYz\r\n'],
    ['cut in a header', whole.slice(0, 30)],
    ['cut in a value', whole.slice(0, whole.indexOf('media'))],
    ['no last boundary', whole.replace('--xYz--', '')],
    ['no name', whole.replace('; name="video_url"', '')],
    ['no disposition', whole.replace('Content-Disposition: form-data; name="video_url"', 'X-Nothing: 1')],
    ['no blank line after the headers', whole.replace('\r\n\r\n', '\r\n')],
    ['bare newlines', whole.replaceAll('\r\n', '\n')],
    ['a file that is cut in its headers', file.slice(0, 40)],
    ['a nested multipart', whole.replace('\r\n\r\n', '\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n')],
    ['ten thousand fields', form(...Array.from({ length: 10_000 }, () => ({ name: 'a', value: '' })))],
  ])('should be refused with %s, and the gateway lives on', async (_, body) => {
    await expectRefused(world, () => send(body), 400);
    await expectRefused(world, () => send('{', 'application/json'), 400);
  });

  it.each(['multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=""'])(
    'should be refused as %s',
    async (type) => {
      await expectRefused(world, () => send(whole, type), 400);
    },
  );

  it('should be refused when a value is no UTF-8, rather than stored with another character', async () => {
    const body = form(...PARTS, { name: 'external_id', value: Buffer.from([0x61, 0xff, 0x62]) });
    await expectRefused(world, () => send(body), 400);
  });

  it('should be refused when a part is in another charset, rather than read in it or as UTF-8', async () => {
    const value = Buffer.from('order', 'utf16le');
    const headers = 'Content-Type: text/plain; charset=utf-16le\r\n';
    const before = await world.effects();
    const answer = await send(form(...PARTS, { name: 'external_id', value, headers }));
    expect([400, 415]).toContain(answer.status);
    expect(await world.effects()).toEqual(before);
  });

  it('should be refused with a field name that is too long to be one, not with a cut one', async () => {
    const body = form(...PARTS, { name: `crf${'x'.repeat(5_000)}`, value: '1' });
    const problem = await expectRefused(world, () => send(body), 400);
    expect(Object.keys(problem.errors)).toHaveLength(1);
  });

  it.each(['crf', 'video_url', 'external_id'])('should be refused with a repeated %s', async (name) => {
    const body = form(...PARTS, { name, value: '1' }, { name, value: '2' });
    const problem = await expectRefused(world, () => send(body), 400);
    expect(Object.keys(problem.errors)).toEqual([name]);
  });
});
