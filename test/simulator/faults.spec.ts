import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Fault, FaultKind } from '../../simulator/faults.js';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';

let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator();
});
beforeEach(() => simulator.control.reset());
afterAll(async () => {
  await simulator.close();
});

function create(timeoutMs = 5_000): Promise<Response> {
  return fetch(`${simulator.url}/api/jobs/from-url/`, {
    method: 'POST',
    headers: { authorization: 'Token demo-token', 'content-type': 'application/json' },
    body: JSON.stringify({ video_url: 'https://example.com/a.mp4', ml_models: [1] }),
    signal: AbortSignal.timeout(timeoutMs),
  });
}

function list(token = 'demo-token'): Promise<Response> {
  return fetch(`${simulator.url}/api/jobs/`, { headers: { authorization: `Token ${token}` } });
}

function control(method: string, path: string, body?: object): Promise<Response> {
  const init =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  return fetch(`${simulator.url}/_sim/${path}`, { method, ...init });
}

describe('faults that answer without doing the work', () => {
  const cases: [Fault | FaultKind, number, RegExp][] = [
    ['rate_limited', 429, /Expected available in 1 second\./],
    ['server_error', 500, /^\{"detail":/],
    ['bad_gateway', 502, /<h1>502 Bad Gateway/],
    [{ kind: 'bad_gateway', status: 520 }, 520, /<h1>520/],
    ['payment_required', 402, /^\{"detail":.*credits/],
    ['no_credits_400', 400, /non_field_errors.*credits/],
    ['storage_400', 400, /non_field_errors.*Storage/],
    ['unauthorized', 401, /^\{"detail":"Invalid token/],
    ['forbidden', 403, /^\{"detail":/],
    [{ kind: 'body', status: 418, body: { video_url: ['odd'] } }, 418, /^\{"video_url":\["odd"\]\}$/],
    [{ kind: 'body', body: 'hello' }, 200, /^hello$/],
    [{ kind: 'garbage', commit: false }, 201, /^\{"id": 12, "cost_u$/],
  ];

  it.each(cases)('should answer %j with %s', async (fault, status, text) => {
    simulator.control.addFault({ times: 1, fault });
    const response = await create();
    expect([response.status, await response.text()]).toEqual([status, expect.stringMatching(text)]);
    expect(simulator.state.jobs.size).toBe(0);
    expect((await create()).status).toBe(201);
  });

  it('should tell the seconds to wait in header and text, in the text alone, or not at all', async () => {
    const answers: unknown[] = [];
    for (const options of [{ retry_after_s: 30 }, { retry_after_s: 30, header: false }, { retry_after_s: null }]) {
      simulator.control.addFault({ times: 1, fault: { kind: 'rate_limited', ...options } });
      const response = await create();
      answers.push([response.headers.get('retry-after'), (await response.text()).includes('in 30 seconds')]);
    }
    expect(answers).toEqual([
      ['30', true],
      [null, true],
      [null, false],
    ]);
  });

  it('should never answer, or reset the connection, with nothing done', async () => {
    simulator.control.addFault({ times: 1, fault: 'no_answer' });
    await expect(create(1_000)).rejects.toThrow(/timeout/i);
    simulator.control.addFault({ times: 1, fault: 'reset' });
    await expect(create()).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    expect(simulator.state.jobs.size).toBe(0);
    expect(simulator.state.requests.map((request) => [request.status, request.fault])).toEqual([
      [null, 'no_answer'],
      [null, 'reset'],
    ]);
  });
});

describe('faults that do the work', () => {
  it('should commit, then never answer', async () => {
    simulator.control.addFault({ times: 1, fault: 'no_answer_after_commit' });
    await expect(create(1_000)).rejects.toThrow(/timeout/i);
    expect(simulator.state.jobs.size).toBe(1);
  });

  it('should commit, then reset the connection', async () => {
    simulator.control.addFault({ times: 1, fault: 'reset_after_commit' });
    await expect(create()).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    expect(simulator.state.jobs.size).toBe(1);
  });

  it('should commit, then answer 500 or a success that is not JSON', async () => {
    simulator.control.addFault({ times: 1, fault: 'error_after_commit' });
    expect((await create()).status).toBe(500);
    simulator.control.addFault({ times: 1, fault: 'garbage' });
    const garbage = await create();
    expect(garbage.status).toBe(201);
    await expect(garbage.json()).rejects.toThrow(/JSON/);
    expect(simulator.state.jobs.size).toBe(2);
  });

  it('should be slow and do the work after or before the delay', async () => {
    const sizes: number[] = [];
    for (const commit of [false, true]) {
      simulator.control.reset();
      simulator.control.addFault({ times: 1, fault: { kind: 'slow', delay_ms: 300, commit } });
      const answer = create();
      while (simulator.state.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      sizes.push(simulator.state.jobs.size);
      expect((await answer).status).toBe(201);
    }
    expect(sizes).toEqual([0, 1]);
  });

  it('should hold an answer until it is let go, with its work done or not', async () => {
    const { id } = simulator.control.addFault({ fault: { kind: 'error_after_commit', held: true } });
    const answer = create();
    const held = () => simulator.control.listFaults()[0]?.held;
    while (held() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect([held(), simulator.state.jobs.size]).toEqual([1, 1]);
    expect((await fetch(`${simulator.url}/_sim/faults/${id}`, { method: 'POST' })).status).toBe(204);
    expect((await answer).status).toBe(500);
    expect([held(), (await create()).status]).toEqual([0, 500]);
  });
});

describe('fault rules', () => {
  it('should apply to a method, a path, a token and a number of requests only', async () => {
    simulator.control.changeAccount({ token: 'other-token' });
    simulator.control.addFault({
      match: { method: 'get', path: '/api/jobs/$', token: 'other-token' },
      times: 2,
      fault: 'server_error',
    });
    expect((await create()).status).toBe(201);
    expect((await list()).status).toBe(200);
    const statuses = [await list('other-token'), await list('other-token'), await list('other-token')].map(
      (r) => r.status,
    );
    expect(statuses).toEqual([500, 500, 200]);
    expect(simulator.control.listFaults()).toMatchObject([{ applied: 2 }]);
  });

  it.each([
    ['/api/jobs/', true],
    ['/api/jobs/$', false],
    ['/api/*/from-url/', true],
    ['/api/images/', false],
    ['/api/jobs.', false],
  ])('should match the path of a creation with %s: %s', async (path, matches) => {
    simulator.control.addFault({ match: { path }, fault: 'forbidden' });
    expect((await create()).status).toBe(matches ? 403 : 201);
  });

  it('should apply with a probability that the seed decides', async () => {
    const run = async (): Promise<string> => {
      simulator.control.clearFaults();
      const id = simulator.control.addFault({ probability: 0.5, fault: 'server_error' }).id;
      const statuses: number[] = [];
      for (let index = 0; index < 40; index++) statuses.push((await list()).status);
      simulator.control.removeFault(id);
      return statuses.join();
    };
    const first = await run();
    expect(first).toMatch(/500/);
    expect(first).toMatch(/200/);
    simulator.control.reset();
    expect(await run()).toBe(first);
  });

  it('should hold for result files too', async () => {
    const { id } = (await (await create()).json()) as { id: number };
    simulator.control.changeJob(id, { status: 2 });
    const page = (await (await list()).json()) as { results: { output_video: { file: string } }[] };
    simulator.control.addFault({ match: { path: '/_files/' }, times: 1, fault: 'bad_gateway' });
    const file = page.results[0]?.output_video.file ?? '';
    expect([(await fetch(file)).status, (await fetch(file)).status]).toEqual([502, 200]);
  });

  it('should refuse an unknown kind', async () => {
    const response = await control('POST', 'faults', { fault: 'nonsense' });
    expect([response.status, Object.keys((await response.json()) as object)]).toEqual([400, ['detail']]);
  });
});

describe('the control API over HTTP', () => {
  it('should do what the in-process one does', async () => {
    expect((await control('POST', 'accounts', { token: 'a-token', credits: 50 })).status).toBe(200);
    const seeded = (await (await control('POST', 'seed', { token: 'a-token', jobs: 3, status: 2 })).json()) as {
      first_id: number;
    };
    const id = seeded.first_id;
    expect(await (await control('POST', `jobs/${id}`, { behavior: 'unlisted' })).json()).toMatchObject({
      id,
      status: 2,
      listed: false,
    });
    expect(await (await control('GET', `jobs/${id}`)).json()).toMatchObject({ id, behavior: 'unlisted' });
    const state = (await (await control('GET', 'state')).json()) as { accounts: unknown[] };
    expect(state).toMatchObject({
      jobs: 3,
      accounts: [{ account: 1 }, { jobs_seeded: 3, jobs_ended: 3, credits: '50.0000', tokens: ['oken'] }],
    });
    const before = Date.now();
    const { now } = (await (await control('POST', 'clock', { advance_ms: 3_600_000 })).json()) as { now: string };
    expect(Date.parse(now) - before).toBeGreaterThanOrEqual(3_600_000);
    await list('a-token');
    expect(await (await control('GET', 'requests')).json()).toMatchObject([
      { method: 'GET', path: '/api/jobs/', status: 200, tokenSuffix: 'oken' },
    ]);
  });

  it('should list and remove faults, and reset everything', async () => {
    const { id } = (await (await control('POST', 'faults', { fault: 'forbidden' })).json()) as { id: number };
    await control('POST', 'faults', { fault: 'server_error' });
    expect((await list()).status).toBe(403);
    expect((await control('DELETE', `faults/${id}`)).status).toBe(204);
    expect((await list()).status).toBe(500);
    expect(await (await control('GET', 'faults')).json()).toMatchObject([
      { applied: 1, rule: { fault: 'server_error' } },
    ]);
    expect((await control('DELETE', 'faults')).status).toBe(204);
    expect((await create()).status).toBe(201);
    expect((await control('POST', 'reset')).status).toBe(204);
    expect([simulator.state.jobs.size, simulator.state.requests.length]).toEqual([0, 0]);
    expect((await create()).status).toBe(201);
  });

  it('should answer what it does not know with 404 or 400', async () => {
    expect((await control('GET', 'nothing')).status).toBe(404);
    expect((await control('POST', 'jobs/1', { status: 2 })).status).toBe(400);
    expect((await control('POST', 'clock', { advance_ms: -1 })).status).toBe(400);
    expect((await control('POST', 'seed', { token: 'x', jobs: 0 })).status).toBe(400);
  });

  it('should keep a bounded log, or none', async () => {
    for (const [requestLogSize, expected] of [
      [3, [3, 4, 5]],
      [0, []],
    ] as const) {
      const small = await startSimulator({ requestLogSize });
      for (let index = 0; index < 5; index++) await (await fetch(`${small.url}/api/jobs/`)).text();
      expect(small.state.requests.map((request) => request.number)).toEqual(expected);
      await small.close();
    }
  });
});
