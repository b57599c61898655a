import { describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import { exchange, multipart, rawExchange } from '../../support/world.js';
import { CREATE_IMAGE, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const stage = useStage({ env: { TENSORPIX_TIMEOUT_MS: '5000' }, simulator: { queueMs: 600_000 } });

let keys = 0;

function newKey(): string {
  return `key-${(keys += 1)}`;
}

function withKey(key: string): Record<string, string> {
  return { 'idempotency-key': key };
}

function form(fields: [string, string][]): string {
  return fields.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
}

/** A create whose bytes are these. */
async function send(team: Team, key: string, type: string, body: string | Buffer) {
  return exchange(stage.gateway.url, {
    headers: { ...team.auth, 'content-type': type, 'idempotency-key': key },
    body,
  });
}

async function sendJson(team: Team, key: string, body: string) {
  return send(team, key, 'application/json', body);
}

async function keysOf(team: Team) {
  return stage.sql<{ key: string }>('select * from idempotency_keys where tenant_id = $1', [team.id]);
}

describe('the same request with one key', () => {
  it('should be the same in JSON, urlencoded and multipart', async () => {
    const team = await stage.team();
    const [key, url] = [newKey(), sourceUrl()];
    const fields: [string, string][] = [
      ['video_url', url],
      ['ml_models', '1'],
      ['ml_models', '4'],
      ['grain', '0.50'],
      ['crf', '20'],
      ['preview', 'false'],
      ['metadata', '{"b":"2","a":"1"}'],
      ['callback_events', 'job.finished'],
      ['external_id', '7'],
    ];
    const parts = fields.map(([name, value]) => ({ name, value }));
    const json = {
      callback_events: ['job.finished'],
      external_id: '7',
      metadata: { a: '1', b: '2' },
      preview: false,
      crf: 20,
      grain: 0.5,
      ml_models: [1, 4],
      video_url: url,
    };
    const first = await send(team, key, 'application/x-www-form-urlencoded', form(fields));
    expect([first.status, first.headers['idempotency-replayed']]).toEqual([201, undefined]);
    const others = [
      await sendJson(team, key, JSON.stringify(json)),
      await send(team, key, 'multipart/form-data; boundary=cut', multipart('cut', parts)),
      await send(team, key, 'application/x-www-form-urlencoded', form([...fields].reverse().map(swapModels))),
    ];
    for (const answer of others) {
      expect([answer.status, answer.headers['idempotency-replayed'], answer.text]).toEqual([201, 'true', first.text]);
    }
    expect(stage.creates(team)).toBe(1);
  });

  it.each([
    ['the order of fields', '"crf":20,"grain":0.5', '"grain":0.5,"crf":20'],
    ['1 and 1.0', '"grain":1', '"grain":1.0'],
    ['20 and 2e1', '"crf":20', '"crf":2e1'],
    ['0 and -0', '"grain":0', '"grain":-0.0'],
    ['spaces', '"crf":20', ' "crf" :\n 20 '],
    ['escapes', '"external_id":"é/"', '"external_id":"\\u00e9\\/"'],
    ['null and absent in a field of TensorPix', '"start_frame":null', ''],
    ['null and absent in a field of the gateway', '"callback_url":null,"external_id":null,"metadata":null', ''],
    ['the order in metadata', '"metadata":{"a":"1","b":"2"}', '"metadata":{"b":"2","a":"1"}'],
    ['names of metadata that look like numbers', '"metadata":{"10":"x","9":"y"}', '"metadata":{"9":"y","10":"x"}'],
    ['one of two equal names', '"crf":20', '"crf":21,"crf":20'],
  ])('should be the same whatever %s', async (_, one, other) => {
    const team = await stage.team();
    const [key, url] = [newKey(), sourceUrl()];
    const bodyOf = (rest: string) => `{"video_url":"${url}","ml_models":[1]${rest && `,${rest}`}}`;
    const first = await sendJson(team, key, bodyOf(one));
    const second = await sendJson(team, key, bodyOf(other));
    expect([first.status, second.status, second.text]).toEqual([201, 201, first.text]);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(stage.creates(team)).toBe(1);
  });

  it.each([
    ['another URL', (url: string) => ({ video_url: `${url}?other` })],
    ['a fragment', (url: string) => ({ video_url: `${url}#other` })],
    ['other models', () => ({ ml_models: [2] })],
    ['models in another order', () => ({ ml_models: [4, 1] })],
    ['another number', () => ({ crf: 21 })],
    ['a field more', () => ({ grain: 0 })],
    ['an empty text for an absent one', () => ({ chroma_subsampling: '' })],
    ['another callback', () => ({ callback_url: 'http://127.0.0.1:9/x' })],
    ['other events', () => ({ callback_events: ['job.failed'] })],
    ['another external_id', () => ({ external_id: 'y' })],
    ['other metadata', () => ({ metadata: { a: '2' } })],
  ])('should be another with %s: 422, and the first stays as it is', async (_, change) => {
    const team = await stage.team();
    const key = newKey();
    const body = { video_url: sourceUrl(), ml_models: [1, 4], crf: 20, external_id: 'x', metadata: { a: '1' } };
    const first = await stage.video(team, body, withKey(key));
    const other = await stage.video(team, { ...body, ...change(body.video_url) }, withKey(key));
    expect([first.status, other.status, other.body.code]).toEqual([201, 422, 'idempotency_mismatch']);
    expect(other.headers['idempotency-replayed']).toBeUndefined();
    expect(other.headers['content-type']).toContain('application/problem+json');
    const again = await stage.video(team, body, withKey(key));
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it('should say 422 rather than 409 to another request while the first is under way', async () => {
    const team = await stage.team();
    const key = newKey();
    const body = { video_url: sourceUrl() };
    stage.fault(team, { kind: 'slow', delay_ms: 1_500 }, { times: 1 });
    const first = stage.video(team, body, withKey(key)).then((answer) => answer);
    await eventually(
      () => stage.rowsOf(team),
      (rows) => rows.length === 1,
    );
    const other = await stage.video(team, { ...body, crf: 3 }, withKey(key));
    expect(other.status).toBe(422);
    expect((await first).status).toBe(201);
  });

  it('should be the same under another Prefer, through another API key of the tenant', async () => {
    const team = await stage.team();
    const admin = { authorization: `Bearer ${ADMIN_KEY}` };
    const made = await request(stage.gateway.url)
      .post(`/v1/tenants/${team.id}/api-keys`)
      .set(admin)
      .send({ name: 'second' });
    const second = { ...team, auth: { authorization: `Bearer ${made.body.key}` } };
    const [key, body] = [newKey(), { video_url: sourceUrl() }];
    const first = await stage.video(team, body, withKey(key));
    const again = await stage.video(second, body, { ...withKey(key), prefer: 'respond-async, handling=strict' });
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(stage.creates(team)).toBe(1);
  });
});

/** In a form the order of the values of one field counts: keep that of the models. */
function swapModels([name, value]: [string, string]): [string, string] {
  return name === 'ml_models' ? [name, value === '1' ? '4' : '1'] : [name, value];
}

describe('one key at two places', () => {
  it('should be two keys for two tenants', async () => {
    const [one, other] = [await stage.team(), await stage.team()];
    const [key, body] = [newKey(), { video_url: sourceUrl() }];
    const answers = [await stage.video(one, body, withKey(key)), await stage.video(other, body, withKey(key))];
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers.map(({ headers }) => headers['idempotency-replayed'])).toEqual([undefined, undefined]);
    expect(new Set(answers.map(idOf)).size).toBe(2);
  });

  it('should be two keys for jobs and images', async () => {
    const team = await stage.team();
    const key = newKey();
    const video = await stage.video(team, {}, withKey(key));
    const image = await stage.image(team, {}, withKey(key));
    expect([video.status, image.status]).toEqual([201, 201]);
    expect((await stage.image(team, {}, withKey(key))).text).toBe(image.text);
    expect([stage.creates(team), stage.calls(team, 'POST', CREATE_IMAGE).length]).toEqual([1, 1]);
  });

  it('should not be looked at anywhere else', async () => {
    const team = await stage.team();
    const bad = { 'idempotency-key': 'x'.repeat(300) };
    const created = await stage.video(team);
    const path = `/v1/jobs/${idOf(created)}`;
    expect((await request(stage.gateway.url).get(path).set(team.auth).set(bad)).status).toBe(200);
    expect((await request(stage.gateway.url).get('/v1/jobs').set(team.auth).set(bad)).status).toBe(200);
    const canceled = await request(stage.gateway.url).post(`${path}/cancel`).set(team.auth).set(bad);
    expect(canceled.status).toBe(200);
    expect(await keysOf(team)).toEqual([]);
  });
});

describe('the header', () => {
  const json = { 'content-type': 'application/json' };

  /** The request as bytes, so that the header can be what no client library would send. */
  async function raw(team: Team, headerLines: Buffer | string, body = { video_url: sourceUrl(), ml_models: [1] }) {
    const text = JSON.stringify(body);
    const lines = [
      'POST /v1/jobs HTTP/1.1',
      'host: gateway',
      'connection: close',
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(text)}`,
      `authorization: ${team.auth.authorization}`,
    ];
    const head = Buffer.from(`${lines.join('\r\n')}\r\n`);
    return rawExchange(stage.gateway.url, Buffer.concat([head, Buffer.from(headerLines), Buffer.from(`\r\n${text}`)]));
  }

  const REFUSED: [string, Buffer | string][] = [
    ['empty', 'Idempotency-Key:\r\n'],
    ['spaces', 'Idempotency-Key:    \r\n'],
    ['empty in quotes', 'Idempotency-Key: ""\r\n'],
    ['a space in quotes', 'Idempotency-Key: " "\r\n'],
    ['256 characters', `Idempotency-Key: ${'k'.repeat(256)}\r\n`],
    ['256 characters in quotes', `Idempotency-Key: "${'k'.repeat(256)}"\r\n`],
    ['UTF-8', 'Idempotency-Key: clé\r\n'],
    ['Latin-1', Buffer.from('Idempotency-Key: cl\xe9\r\n', 'latin1')],
    ['a single high byte', Buffer.from([...Buffer.from('Idempotency-Key: '), 0xff, 0x0d, 0x0a])],
    ['a tab', 'Idempotency-Key: a\tb\r\n'],
    ['sent twice', 'Idempotency-Key: a\r\nIdempotency-Key: b\r\n'],
    ['sent twice, equal', 'Idempotency-Key: a\r\nidempotency-key: a\r\n'],
    ['sent twice, once empty', 'Idempotency-Key:\r\nIdempotency-Key: a\r\n'],
  ];

  it.each(REFUSED)('should be refused, without a row or a call, when it is %s', async (_, lines) => {
    const team = await stage.team();
    const answer = await raw(team, lines);
    expect([answer.status, answer.body.code]).toEqual([400, 'validation_failed']);
    expect(Object.keys(answer.body.errors as object)).toEqual(['Idempotency-Key']);
    expect([await stage.rowsOf(team), await keysOf(team), stage.creates(team)]).toEqual([[], [], 0]);
  });

  it.each([
    ['255 characters', 'k'.repeat(255), 'k'.repeat(255)],
    ['255 characters in quotes', `"${'k'.repeat(255)}"`, 'k'.repeat(255)],
    ['one character', '0', '0'],
    ['every printable character', printable(), printable()],
    ['escapes in quotes', '"a\\"b\\\\c"', 'a"b\\c'],
    ['a quote that does not end', '"abc', '"abc'],
    ['a comma', 'a, b', 'a, b'],
  ])('should be taken: %s', async (_, sent, stored) => {
    const team = await stage.team();
    const answer = await raw(team, `Idempotency-Key: ${sent}\r\n`);
    expect(answer.status).toBe(201);
    expect((await keysOf(team)).map(({ key }) => key)).toEqual([stored]);
  });

  it('should mean the same with and without quotes', async () => {
    const team = await stage.team();
    const [key, body] = [newKey(), { video_url: sourceUrl() }];
    const first = await stage.video(team, body, withKey(key));
    const second = await stage.video(team, body, withKey(`"${key}"`));
    expect([second.status, second.text]).toEqual([201, first.text]);
  });

  it('should tell keys apart that differ in case only', async () => {
    const team = await stage.team();
    const body = { video_url: sourceUrl() };
    const ids = [
      idOf(await stage.video(team, body, withKey('Key'))),
      idOf(await stage.video(team, body, withKey('key'))),
    ];
    expect(new Set(ids).size).toBe(2);
  });

  it.each([
    ['a field that is wrong', { crf: 99 }],
    ['a source that TensorPix cannot fetch', { video_url: 'https://www.youtube.com/watch?v=x' }],
    ['a presigned URL that has expired', { video_url: 'https://media.example.com/a.mp4?Expires=1&Signature=s' }],
  ])('should not be used up by our own 400: %s', async (_, wrong) => {
    const team = await stage.team();
    const key = newKey();
    const refused = await stage.video(team, wrong, withKey(key));
    expect(refused.status).toBe(400);
    expect(await keysOf(team)).toEqual([]);
    const created = await stage.video(team, {}, withKey(key));
    expect([created.status, created.headers['idempotency-replayed']]).toEqual([201, undefined]);
  });

  it('should not open anything without a valid key or scope', async () => {
    const team = await stage.team();
    const [key, body] = [newKey(), { video_url: sourceUrl(), ml_models: [1] }];
    await stage.video(team, body, withKey(key));
    const answers: Response[] = [];
    for (const authorization of ['', 'Bearer tpg_wrong'])
      answers.push(
        await request(stage.gateway.url)
          .post('/v1/jobs')
          .set({ ...json, ...(authorization && { authorization }) })
          .set(withKey(key))
          .send(body),
      );
    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
  });
});

/** Without leading, trailing, or enclosing characters that the header's syntax takes away. */
function printable(): string {
  return `x${Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('')}`;
}
