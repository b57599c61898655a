import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TensorpixClient } from '../../src/modules/tensorpix/tensorpix.client.js';
import { useDatabase } from '../support/database.js';
import {
  killAll,
  plainEnv,
  startGatewayProcess,
  startProgram,
  type GatewayProcess,
} from '../support/gateway-process.js';
import { createTenant, eventually, startGateway, type TestTenant } from '../support/gateway.js';
import { freePort } from '../support/ports.js';
import { startRelay, type Relay, type Relayed } from '../support/relay.js';

/**
 * TensorPix's own document, served by a program that is not ours. Prism answers 401 or 422 to a request that breaks the
 * document, or says so in `sl-violations`. Its mocks have no usable ids, so that the relay gives them some.
 */
const database = useDatabase();
let relay: Relay;
let gateway: GatewayProcess;
let tenant: TestTenant;
let ids = 700_000;

beforeAll(async () => {
  const port = await freePort();
  const args = ['node_modules/@stoplight/prism-cli/dist/index.js', 'mock', '-h', '127.0.0.1', '-p', String(port)];
  startProgram([...args, 'simulator/openapi.yaml'], plainEnv());
  await eventually(() => fetch(`http://127.0.0.1:${port}/`).catch(() => null), Boolean);
  relay = await startRelay(`http://127.0.0.1:${port}`, rewrite);
  gateway = await startGatewayProcess(database.url(), relay.url, { TENSORPIX_TIMEOUT_MS: '10000' });
  tenant = await createTenant(gateway.url, 'token-0123456789');
});

afterAll(async () => {
  await killAll();
  await relay?.close();
});

function rewrite({ method, path, answer }: Relayed): string {
  if (method === 'POST' && path === '/api/jobs/from-url/') return answer.replace('"id":0', `"id":${(ids += 1)}`);
  const byId = /^\/api\/jobs\/(\d+)\/$/.exec(path)?.[1];
  return byId === undefined ? answer : answer.replace('"id":0', `"id":${byId}`);
}

function refusedByPrism(): string[] {
  return relay.relayed
    .filter(({ status, violations }) => status >= 400 || violations.includes('"request"'))
    .map(({ method, path, body, status, answer, violations }) =>
      [method, path, body, status, answer, violations].join(' '),
    );
}

async function post(path: string, body: string | FormData | URLSearchParams, headers: object = {}): Promise<number> {
  const answer = await fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tenant.key}`, ...headers },
    body,
  });
  await answer.arrayBuffer();
  return answer.status;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const URL_FIELD = { video_url: 'https://media.example.com/in.mp4', ml_models: [34, 5] };
const EVERY_FIELD = {
  ...URL_FIELD,
  codec: 'libx265',
  crf: 20,
  container: 'mkv',
  chroma_subsampling: 'yuv420p10le',
  output_resolution: 1920,
  grain: 0.5,
  comparison: true,
  stabilization_smoothing: 20,
  target_fps: 59.94,
  playback_speed: 0.5,
  sharpen_strength: 2.5,
  preview: true,
  start_frame: 0,
  end_frame: 100,
};
const IMAGE = {
  url: 'https://media.example.com/in.png',
  enhancement_type: 'sr2x',
  face_enhance: false,
  output_format: 'png',
  watermark: true,
};

describe("the gateway against TensorPix's own document", () => {
  it.each<[string, object]>([
    ['the smallest', URL_FIELD],
    ['every field', EVERY_FIELD],
    ['fields that may be null or empty', { ...URL_FIELD, start_frame: null, end_frame: null, chroma_subsampling: '' }],
    [
      'own fields, which stay here',
      { ...URL_FIELD, external_id: 'x', metadata: { a: 'b' }, callback_url: 'http://127.0.0.1:18999/' },
    ],
    ['the bounds', { ...URL_FIELD, crf: 0, grain: 1, target_fps: 1, playback_speed: 0.1, output_resolution: -1 }],
  ])('should send a video that the document allows: %s', async (_, body) => {
    for (const prefer of ['', 'handling=strict'])
      expect(await post('/v1/jobs', JSON.stringify(body), { ...JSON_TYPE, prefer })).toBe(201);
    const creates = relay.relayed.filter(({ method }) => method === 'POST');
    const sent = JSON.parse(creates.at(-1)?.body ?? '') as object;
    for (const own of ['external_id', 'metadata', 'callback_url', 'callback_events'])
      expect(sent).not.toHaveProperty(own);
    expect(refusedByPrism()).toEqual([]);
  });

  it('should send forms as the document wants them', async () => {
    const fields = Object.entries(EVERY_FIELD).filter(([name]) => name !== 'ml_models');
    const pairs: [string, string][] = [
      ...fields.map(([name, value]): [string, string] => [name, String(value)]),
      ['ml_models', '34'],
      ['ml_models', '5'],
    ];
    expect(await post('/v1/jobs', new URLSearchParams(pairs))).toBe(201);
    const form = new FormData();
    for (const [name, value] of pairs) form.append(name, value);
    expect(await post('/v1/jobs', form)).toBe(201);
    expect(JSON.parse(relay.relayed.filter(({ method }) => method === 'POST').at(-1)?.body ?? '{}')).toEqual(
      EVERY_FIELD,
    );
    expect(refusedByPrism()).toEqual([]);
  });

  it('should send an asynchronous video', async () => {
    expect(await post('/v1/jobs', JSON.stringify(URL_FIELD), { ...JSON_TYPE, prefer: 'respond-async' })).toBe(202);
    expect(refusedByPrism()).toEqual([]);
  });

  it.each(['underwaterCC', 'denoise', 'sr2x', 'sr4x', 'faceEnhance'])(
    'should send an image: %s',
    async (enhancement_type) => {
      for (const output_format of ['png', 'jpg', 'webp', 'jpeg'])
        await post('/v1/images', JSON.stringify({ ...IMAGE, enhancement_type, output_format }), JSON_TYPE);
      expect(relay.relayed.some(({ path }) => path === '/api/images/enhance/from-url/')).toBe(true);
      expect(refusedByPrism()).toEqual([]);
    },
  );

  it('should poll and cancel as the document wants it', async () => {
    await eventually(
      () => relay.relayed.filter(({ method }) => method === 'GET').map(({ path }) => path.replace(/\d+\//, '{id}/')),
      (paths) => paths.some((path) => path.startsWith('/api/jobs/?')) && paths.includes('/api/jobs/{id}/'),
    );
    const list = await fetch(`${gateway.url}/v1/jobs?status=queued`, {
      headers: { authorization: `Bearer ${tenant.key}` },
    });
    const { data } = (await list.json()) as { data: { id: string }[] };
    expect(await post(`/v1/jobs/${data[0]?.id}/cancel`, '{}', JSON_TYPE)).toBe(200);
    expect(relay.relayed.some(({ method, status }) => method === 'DELETE' && status === 204)).toBe(true);
    expect(refusedByPrism()).toEqual([]);
  });
});

describe('every operation of the client', () => {
  it('should be one of the document', async () => {
    const own = await startGateway(database.url(), relay.url, { GATEWAY_ROLE: 'api' });
    const client = own.app.get(TensorpixClient, { strict: false });
    const before = relay.relayed.length;
    const token = 'token-0123456789';
    try {
      const outcomes = [
        await client.enhanceVideo(token, EVERY_FIELD),
        await client.enhanceImage(token, IMAGE),
        await client.listJobs(token, 100, 200),
        await client.getJob(token, 5),
        await client.getHistoryJob(token, 5),
        await client.listInputVideos(token, 100, 200),
        await client.listEnhancedVideos(token, 100, 200),
        await client.cancelJob(token, 5),
        await client.getBalance(token),
      ];
      const operations = Object.getOwnPropertyNames(TensorpixClient.prototype).filter((name) =>
        /^(enhance|list|get|cancel)/.test(name),
      );
      expect(outcomes).toHaveLength(operations.length);
      for (const { kind } of outcomes) expect(['ok', 'unknown']).toContain(kind);
    } finally {
      await own.close();
    }
    const calls = relay.relayed.slice(before).filter(({ path }) => /\/5\/|offset=200|balance|from-url/.test(path));
    expect(calls.length).toBeGreaterThanOrEqual(9);
    expect(refusedByPrism()).toEqual([]);
  });
});
