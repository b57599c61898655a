import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';

const TOKEN = { authorization: 'Token demo-token' };
const PATH = '/api/jobs/from-url/';
let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator({ logBodies: true });
});
afterAll(async () => {
  await simulator.close();
});

function post(path: string, body: string | FormData | URLSearchParams, headers: Record<string, string> = {}) {
  return fetch(simulator.url + path, { method: 'POST', body, headers: { ...TOKEN, ...headers }, redirect: 'manual' });
}

async function parametersOf(response: Response): Promise<unknown> {
  expect(response.status).toBe(201);
  const { id } = (await response.json()) as { id: number };
  return simulator.state.jobs.get(id)?.parameters;
}

const FIELDS: [string, string][] = [
  ['video_url', 'https://example.com/a.mp4'],
  ['ml_models', '1'],
  ['ml_models', '3'],
  ['grain', '0.5'],
  ['crf', '20'],
  ['preview', 'true'],
  ['comparison', 'False'],
  ['output_resolution', '-1'],
  ['start_frame', ''],
  ['codec', 'libx265'],
];
const PARSED = {
  video_url: 'https://example.com/a.mp4',
  ml_models: [1, 3],
  grain: 0.5,
  crf: 20,
  preview: true,
  comparison: false,
  output_resolution: -1,
  start_frame: null,
  codec: 'libx265',
};

describe('request bodies', () => {
  it('should read urlencoded forms with repeated ml_models', async () => {
    expect(await parametersOf(await post(PATH, new URLSearchParams(FIELDS)))).toEqual(PARSED);
  });

  it('should read multipart forms with repeated ml_models', async () => {
    const form = new FormData();
    for (const [name, value] of FIELDS) form.append(name, value);
    expect(await parametersOf(await post(PATH, form))).toEqual(PARSED);
  });

  it('should read JSON', async () => {
    const response = await post(PATH, JSON.stringify(PARSED), { 'content-type': 'application/json; charset=utf-8' });
    expect(await parametersOf(response)).toEqual(PARSED);
  });

  it('should ignore unknown fields whatever their name', async () => {
    const fields: [string, string][] = [...FIELDS, ['constructor', '1'], ['__proto__', '2'], ['toString', '3']];
    expect(await parametersOf(await post(PATH, new URLSearchParams(fields)))).toEqual(PARSED);
  });

  it('should be strict about types in JSON but not in forms', async () => {
    const json = await post(PATH, JSON.stringify({ ...PARSED, crf: '20' }), { 'content-type': 'application/json' });
    expect(json.status).toBe(400);
    expect(await json.json()).toEqual({ errors: { crf: ['A valid integer is required.'] }, non_field_errors: [] });
  });

  it('should ignore the fields that belong to the answer', async () => {
    const body = JSON.stringify({ ...PARSED, id: 5, cost_usd: '0', input_video: 7 });
    expect(await parametersOf(await post(PATH, body, { 'content-type': 'application/json' }))).toEqual(PARSED);
  });

  it('should answer malformed JSON with 400 and a detail', async () => {
    const response = await post(PATH, '{"video_url": ', { 'content-type': 'application/json' });
    expect([response.status, Object.keys((await response.json()) as object)]).toEqual([400, ['detail']]);
  });

  it('should answer malformed multipart with 400, a list with 400 and another media type with 415', async () => {
    expect((await post(PATH, 'x', { 'content-type': 'multipart/form-data' })).status).toBe(400);
    const list = await post(PATH, '[1]', { 'content-type': 'application/json' });
    expect(await list.json()).toMatchObject({ errors: {}, non_field_errors: [expect.stringContaining('list')] });
    expect((await post(PATH, 'x', { 'content-type': 'text/plain' })).status).toBe(415);
  });

  it('should refuse hosting pages and URLs that are no video or image', async () => {
    const urls = [
      'https://www.youtube.com/watch?v=1',
      'https://youtu.be/1',
      'https://player.vimeo.com/1',
      'http://instagram.com/p/1',
      'https://vm.tiktok.com/1',
      'https://example.com/not-a-video.txt',
      'ftp//x',
      'a b',
    ];
    for (const url of urls) {
      const response = await post(PATH, new URLSearchParams({ video_url: url, ml_models: '1' }));
      expect([url, response.status]).toEqual([url, 400]);
      expect(await response.json()).toMatchObject({ errors: { video_url: [expect.any(String)] } });
    }
    const mine = 'https://notyoutube.com/a.mp4?next=https://youtube.com/';
    expect((await post(PATH, new URLSearchParams({ video_url: mine, ml_models: '1' }))).status).toBe(201);
    const image = {
      url: 'https://example.com/not-an-image',
      output_format: 'png',
      enhancement_type: 'sr2x',
      face_enhance: 'false',
      watermark: 'true',
    };
    expect((await post('/api/images/enhance/from-url/', new URLSearchParams(image))).status).toBe(400);
  });
});

describe('addresses and tokens', () => {
  it('should fail a POST without the trailing slash and redirect a GET', async () => {
    const before = simulator.state.jobs.size;
    expect((await post('/api/jobs/from-url', new URLSearchParams(FIELDS))).status).toBe(500);
    expect(simulator.state.jobs.size).toBe(before);
    const response = await fetch(`${simulator.url}/api/jobs?limit=1`, { headers: TOKEN, redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([301, `${simulator.url}/api/jobs/?limit=1`]);
  });

  it('should answer an unknown path with 404 and another method with 405', async () => {
    expect((await fetch(`${simulator.url}/api/nothing/`, { headers: TOKEN })).status).toBe(404);
    expect((await fetch(`${simulator.url}/api/jobs/abc/`, { headers: TOKEN })).status).toBe(404);
    expect((await fetch(`${simulator.url}/api/jobs/`, { method: 'PUT', headers: TOKEN })).status).toBe(405);
  });

  it('should ask for a token and refuse an unknown one', async () => {
    const without = await fetch(`${simulator.url}/api/jobs/`);
    expect([without.status, await without.json()]).toEqual([
      401,
      { detail: 'Authentication credentials were not provided.' },
    ]);
    const bearer = await fetch(`${simulator.url}/api/jobs/`, { headers: { authorization: 'Bearer demo-token' } });
    expect(bearer.status).toBe(401);
    const unknown = await fetch(`${simulator.url}/api/jobs/`, { headers: { authorization: 'Token nobody' } });
    expect([unknown.status, await unknown.json()]).toEqual([401, { detail: 'Invalid token.' }]);
  });

  it('should create accounts for any token if asked to', async () => {
    const open = await startSimulator({ tokens: [], autoCreateAccounts: true });
    const balance = await fetch(`${open.url}/api/accounts/profile/balance/`, {
      headers: { authorization: 'Token new' },
    });
    expect(await balance.json()).toEqual({ balance_usd: '1000000.0000' });
    await open.close();
  });

  it('should log requests with the end of the token only', () => {
    const entry = simulator.state.requests.find((request) => request.path === PATH && request.status === 201);
    expect(entry).toMatchObject({ method: 'POST', tokenSuffix: 'oken', fault: null, body: { codec: ['libx265'] } });
    expect(JSON.stringify(simulator.state.requests)).not.toContain('demo-token');
  });
});
