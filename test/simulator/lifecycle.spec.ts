import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SimulatorOptions } from '../../simulator/options.js';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';

interface Output {
  id: number;
  file: string | null;
}
interface Job {
  id: number;
  status: number;
  processing_progress: number;
  eta_s: number;
  cost_usd: string;
  output_video: Output | null;
}

const TOKEN = { authorization: 'Token demo-token' };
let simulator: Simulator;

async function start(options: Partial<SimulatorOptions> = {}): Promise<void> {
  await simulator?.close();
  simulator = await startSimulator({ frozenClock: true, queueMs: 1_000, durationMs: 10_000, ...options });
}

beforeEach(() => start());
afterEach(async () => {
  await simulator.close();
});

function post(path: string, body: object, token = 'demo-token'): Promise<Response> {
  const headers = { authorization: `Token ${token}`, 'content-type': 'application/json' };
  return fetch(simulator.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function create(fields: object = {}): Promise<Job> {
  const response = await post('/api/jobs/from-url/', {
    video_url: 'https://example.com/a.mp4',
    ml_models: [1],
    ...fields,
  });
  expect(response.status).toBe(201);
  return (await response.json()) as Job;
}

async function get<T = Job>(path: string): Promise<T> {
  const response = await fetch(simulator.url + path, { headers: TOKEN });
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as T;
}

async function statusOf(path: string, method = 'GET', token = 'demo-token'): Promise<number> {
  return (await fetch(simulator.url + path, { method, headers: { authorization: `Token ${token}` } })).status;
}

async function isListed(id: number): Promise<boolean> {
  return (await get<{ results: Job[] }>('/api/jobs/')).results.some((job) => job.id === id);
}

function balance(): Promise<{ balance_usd: string }> {
  return get('/api/accounts/profile/balance/');
}

describe('a job', () => {
  it('should go from queue to processing to finished', async () => {
    const { id } = await create();
    const steps: unknown[] = [];
    for (const advanceMs of [0, 999, 1, 5_000, 5_000]) {
      simulator.control.advanceClock(advanceMs);
      const job = await get(`/api/jobs/${id}/`);
      steps.push([job.status, job.processing_progress, job.output_video === null]);
    }
    expect(steps).toEqual([
      [0, 0, true],
      [0, 0, true],
      [1, 0, true],
      [1, 0.5, true],
      [2, 1, false],
    ]);
  });

  it('should give an estimate that fluctuates and is repeatable by seed', async () => {
    const estimates = async (seed: number): Promise<number[]> => {
      await start({ seed, durationMs: 100_000 });
      const { id } = await create();
      const seen: number[] = [];
      for (let second = 0; second < 20; second++) {
        simulator.control.advanceClock(1_000);
        seen.push(simulator.state.view(id).etaS);
      }
      return seen;
    };
    const first = await estimates(5);
    const rises = first.filter((value, index) => value > (first[index - 1] ?? Infinity));
    expect(rises.length).toBeGreaterThan(0);
    expect(first.every((value) => value > 0)).toBe(true);
    expect(await estimates(5)).toEqual(first);
    expect(await estimates(6)).not.toEqual(first);
  });

  it('should take queue time and duration from job, account or simulator, spread by the seed', async () => {
    const times = async (): Promise<number[]> => {
      await start({ jitter: 0.5, seed: 9 });
      const jobs = [await create(), await create()].map(({ id }) => simulator.state.jobs.get(id));
      return jobs.map((job) => (job?.endsAtMs ?? 0) - (job?.createdAtMs ?? 0));
    };
    const first = await times();
    expect(first[0]).not.toBe(first[1]);
    expect(await times()).toEqual(first);
    await start({ pace: 0.5 });
    simulator.control.changeAccount({ token: 'demo-token', queue_ms: 4_000, pace: 2 });
    const { id } = await create();
    expect(simulator.state.jobs.get(id)).toMatchObject({ startsAtMs: simulator.state.clock.nowMs() + 8_000 });
    simulator.control.changeJob(id, { queue_ms: 0, duration_ms: 100 });
    simulator.control.advanceClock(100);
    expect(simulator.state.view(id).status).toBe(2);
  });

  it('should keep output_video or its file back for a while when asked to', async () => {
    await start({ outputDelayMs: 1_000, outputFileDelayMs: 2_000 });
    const { id } = await create();
    simulator.control.advanceClock(11_000);
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status: 2, output_video: null });
    simulator.control.advanceClock(1_000);
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status: 2, output_video: { file: null } });
    simulator.control.advanceClock(1_000);
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ output_video: { file: expect.stringContaining('http') } });
    simulator.control.changeJob(id, { output: 'missing' });
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status: 2, output_video: null });
  });

  it.each([
    // behavior text in the URL, [listed, by id, history, status] while running, the same after its time
    ['normal', [true, 200, 404, 1], [true, 200, 200, 2]],
    ['sim-fail', [true, 200, 404, 1], [true, 200, 200, -1]],
    ['sim-stick', [true, 200, 404, 1], [true, 200, 404, 1]],
    ['sim-stick-queued', [true, 200, 404, 0], [true, 200, 404, 0]],
    ['sim-unlisted', [false, 200, 404, 1], [false, 200, 200, 2]],
    ['sim-unlisted-when-ended', [true, 200, 404, 1], [false, 200, 200, 2]],
    ['sim-vanish', [false, 404, 404, 1], [false, 404, 404, 2]],
    ['sim-vanish-to-history', [false, 404, 200, 1], [false, 404, 200, 2]],
    ['sim-vanish-when-ended', [true, 200, 404, 1], [false, 404, 200, 2]],
  ])('should behave as its URL asks: %s', async (text, running, ended) => {
    const { id } = await create({ video_url: `https://example.com/${text}.mp4` });
    const look = async (): Promise<unknown[]> => {
      const found = [await statusOf(`/api/jobs/${id}/`), await statusOf(`/api/jobs/history/${id}/`)];
      return [await isListed(id), ...found, simulator.state.view(id).status];
    };
    simulator.control.advanceClock(5_000);
    expect(await look()).toEqual(running);
    simulator.control.advanceClock(60_000);
    expect(await look()).toEqual(ended);
  });

  it('should follow a default for where ended jobs go', async () => {
    await start({ endedJobs: 'history', historyStatus: 'digits' });
    const { id } = await create();
    simulator.control.advanceClock(11_000);
    expect([await isListed(id), await statusOf(`/api/jobs/${id}/`)]).toEqual([false, 404]);
    expect(await get(`/api/jobs/history/${id}/`)).toEqual({ id, status: '2' });
  });

  it('should show a pinned status, also an unknown or backward one, until it is released', async () => {
    const { id } = await create();
    for (const status of [1, 7, 0]) {
      simulator.control.changeJob(id, { status, progress: 0.3 });
      expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status, processing_progress: 0.3 });
    }
    simulator.control.changeJob(id, { status: 2, progress: null });
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status: 2, processing_progress: 1 });
    simulator.control.changeJob(id, { status: 1 });
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status: 1, output_video: null });
    simulator.control.changeJob(id, { status: null });
    expect(await get(`/api/jobs/${id}/`)).toMatchObject({ status: 2, output_video: { job_id: id } });
  });

  it('should run again when a stuck one is released', async () => {
    const { id } = await create({ video_url: 'https://example.com/sim-stick.mp4' });
    simulator.control.advanceClock(60_000);
    expect(() => simulator.control.changeJob(id, { duration_ms: 5 })).toThrow(RangeError);
    simulator.control.changeJob(id, { behavior: 'normal' });
    expect(simulator.state.view(id).status).toBe(2);
  });

  it('should keep its time when asked for what is no time', async () => {
    const ids = [(await create()).id, (await create()).id];
    for (const durationMs of [NaN, -1]) {
      expect(() => simulator.control.changeJob(ids[0] ?? 0, { duration_ms: durationMs })).toThrow(RangeError);
    }
    expect(() => simulator.control.changeAccount({ token: 'demo-token', pace: NaN })).toThrow(RangeError);
    simulator.control.advanceClock(11_000);
    expect(ids.map((id) => simulator.state.view(id).status)).toEqual([2, 2]);
  });

  it('should belong to its account only', async () => {
    const { id } = await create();
    simulator.control.changeAccount({ token: 'other-token' });
    expect(await statusOf(`/api/jobs/${id}/`, 'GET', 'other-token')).toBe(404);
    expect(await statusOf(`/api/jobs/${id}/`, 'DELETE', 'other-token')).toBe(404);
    simulator.control.changeAccount({ token: 'new-token', same_account_as: 'demo-token' });
    simulator.control.changeAccount({ token: 'demo-token', revoked: true });
    expect(await statusOf(`/api/jobs/${id}/`, 'GET', 'new-token')).toBe(200);
    expect(await statusOf(`/api/jobs/${id}/`)).toBe(401);
  });
});

describe('an upload', () => {
  it('should be usable once its file is there', async () => {
    await start({ uploadReadyMs: 5_000 });
    const form = new FormData();
    form.set('file', new Blob(['0123456789']), 'clip.mp4');
    const response = await fetch(`${simulator.url}/api/videos/`, { method: 'POST', headers: TOKEN, body: form });
    const video = (await response.json()) as Output;
    expect(video).toMatchObject({ name: 'clip.mp4', size: 10, file: null });
    expect((await post('/api/jobs/', { input_video: video.id, ml_models: [1] })).status).toBe(400);
    simulator.control.advanceClock(5_000);
    const ready = await get<Output>(`/api/videos/${video.id}/`);
    expect((await fetch(ready.file ?? '')).status).toBe(200);
    expect((await post('/api/jobs/', { input_video: video.id, ml_models: [1] })).status).toBe(201);
  });
});

describe('result URLs', () => {
  async function output(): Promise<Output> {
    const { id } = await create();
    simulator.control.advanceClock(11_000);
    return (await get(`/api/jobs/${id}/`)).output_video ?? { id: 0, file: null };
  }

  it('should be served without a token, refuse one, and be fresh at each GET', async () => {
    const { id, file } = await output();
    expect(file).toMatch(/\?.*Signature=[0-9a-f]{64}&Expires=\d+$/);
    const response = await fetch(file ?? '');
    expect([response.status, (await response.text()).length > 0]).toEqual([200, true]);
    expect((await fetch(file ?? '', { headers: TOKEN })).status).toBe(400);
    expect((await fetch((file ?? '').replace('Expires=', 'Expires=9'))).status).toBe(403);
    expect((await get<Output>(`/api/restored-videos/${id}/`)).file).not.toBe(file);
  });

  it('should expire, while a fresh one works, until the video is deleted', async () => {
    const { id, file } = await output();
    simulator.control.advanceClock(3_600_000);
    expect((await fetch(file ?? '')).status).toBe(403);
    const fresh = (await get<Output>(`/api/restored-videos/${id}/`)).file ?? '';
    expect((await fetch(fresh)).status).toBe(200);
    expect(await statusOf(`/api/restored-videos/${id}/`, 'DELETE')).toBe(204);
    expect((await fetch(fresh)).status).toBe(404);
  });

  it('should be given for images too', async () => {
    const image = {
      url: 'https://example.com/a.png',
      output_format: 'webp',
      enhancement_type: 'denoise',
      face_enhance: true,
      watermark: true,
    };
    const response = await post('/api/images/enhance/from-url/', image);
    const { enhanced_url: url } = (await response.json()) as { enhanced_url: string };
    expect((await fetch(url)).headers.get('content-type')).toBe('image/webp');
    expect(await balance()).toEqual({ balance_usd: '1000000.0000' });
  });
});

describe('money and storage', () => {
  it('should charge a decimal string with four places, and nothing for a preview', async () => {
    const paid = await create();
    expect(paid.cost_usd).toMatch(/^\d+\.\d{4}$/);
    expect(await create({ preview: true })).toMatchObject({ cost_usd: '0.0000' });
    expect(Number((await balance()).balance_usd)).toBeCloseTo(1_000_000 - Number(paid.cost_usd), 4);
  });

  it('should give everything back for a queued job, most for a processing one, nothing for a finished one', async () => {
    const ids = [(await create()).id, (await create()).id, (await create()).id];
    const cost = Number(simulator.control.describeJob(ids[0] ?? 0).cost);
    expect(await statusOf(`/api/jobs/${ids[0]}/`, 'DELETE')).toBe(204);
    simulator.control.advanceClock(3_000);
    expect(await statusOf(`/api/jobs/${ids[1]}/`, 'DELETE')).toBe(204);
    simulator.control.advanceClock(60_000);
    expect(await statusOf(`/api/jobs/${ids[2]}/`, 'DELETE')).toBe(500);
    const refunds = ids.map((id) => Number(simulator.control.describeJob(id).refunded) / cost);
    expect(refunds.map((share) => Math.round(share * 1_000) / 1_000)).toEqual([1, 0.9, 0]);
    expect(await get(`/api/jobs/${ids[1]}/`)).toMatchObject({ status: -2, output_video: null });
  });

  it.each([402, 400] as const)(
    'should answer %s when the credits run out, and leave nothing behind',
    async (status) => {
      await start({ credits: 0.5, noCreditsStatus: status });
      const response = await post('/api/jobs/from-url/', { video_url: 'https://example.com/a.mp4', ml_models: [1] });
      expect(response.status).toBe(status);
      expect(await response.text()).toMatch(/credits/i);
      expect(simulator.state.jobs.size).toBe(0);
      expect(await get('/api/videos/')).toMatchObject({ count: 0 });
      expect(await balance()).toEqual({ balance_usd: '0.5000' });
      await create({ preview: true });
    },
  );

  it('should refuse jobs while the storage is full, and take them again after a deletion', async () => {
    const { id } = await create();
    simulator.control.changeAccount({ token: 'demo-token', storage_limit_bytes: 1_000 });
    simulator.control.advanceClock(11_000);
    const refused = await post('/api/jobs/from-url/', { video_url: 'https://example.com/a.mp4', ml_models: [1] });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringMatching(/storage/i)]);
    const job = await get(`/api/jobs/${id}/`);
    await statusOf(`/api/restored-videos/${job.output_video?.id}/`, 'DELETE');
    await create();
  });

  it('should limit the free images of a day', async () => {
    await start({ watermarkedImagesPerDay: 1 });
    const image = {
      url: 'https://example.com/a.png',
      output_format: 'png',
      enhancement_type: 'sr4x',
      face_enhance: false,
      watermark: true,
    };
    const statuses: number[] = [];
    for (const advanceMs of [0, 0, 86_400_000]) {
      simulator.control.advanceClock(advanceMs);
      statuses.push((await post('/api/images/enhance/from-url/', image)).status);
    }
    expect(statuses).toEqual([201, 400, 201]);
  });
});
