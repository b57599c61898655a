import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import request from 'supertest';
import type { Fault } from '../../../simulator/faults.js';
import { ADMIN_KEY, createTenant, eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { CREATE_VIDEO, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const ENV = { TENSORPIX_TIMEOUT_MS: '1000', RECONCILE_GRACE_MS: '400' };
const stage = useStage({ env: ENV, hurry: true });
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };

/** Jobs that TensorPix made, and charged, for the team. */
function made(team: Team): number {
  const account = stage.simulator.control
    .summary()
    .accounts.find(({ tokens }) => tokens.includes(team.token.slice(-4)));
  return account?.jobs_created ?? 0;
}

async function untilBound(id: string): Promise<string> {
  return (await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null)).tensorpix_id ?? '';
}

const ODD: [string, Fault][] = [
  ['a string id', { kind: 'body', status: 201, body: { id: '77', status: 0, cost_usd: '1.0' } }],
  ['no id', { kind: 'body', status: 201, body: { status: 0, cost_usd: '1.0' } }],
  ['a fraction as id', { kind: 'body', status: 201, body: { id: 1.5 } }],
  ['a negative id', { kind: 'body', status: 201, body: { id: -1 } }],
  ['an id beyond what numbers hold', { kind: 'body', status: 201, body: '{"id":9007199254740993}' }],
  ['a list', { kind: 'body', status: 201, body: [{ id: 5 }] }],
  ['HTML', { kind: 'body', status: 201, body: '<html><body>ok</body></html>' }],
  ['an empty body', { kind: 'body', status: 201, body: '' }],
  ['204', { kind: 'body', status: 204, body: '' }],
  ['10 MB', { kind: 'body', status: 201, body: `{"id":5,"x":"${'x'.repeat(10_000_000)}"}` }],
  ['half of an answer', { kind: 'garbage' }],
  ['a redirect', { kind: 'body', status: 307, headers: { location: CREATE_VIDEO }, body: '' }],
];

describe('an odd answer to a create', () => {
  it.concurrent.each(ODD)('should end with one job when TensorPix made it: %s', async (_, fault) => {
    const team = await stage.team();
    stage.fault(team, { ...fault, commit: true }, { times: 1 });
    const created = await stage.video(team, stage.callback);
    expect([created.status, created.body.status]).toEqual([202, 'unconfirmed']);
    await untilBound(idOf(created));
    await stage.untilWebhooks(idOf(created), ['job.queued', 'job.finished']);
    expect([made(team), stage.creates(team)]).toEqual([1, 1]);
  });

  it.concurrent.each(ODD)('should end with one job when TensorPix did not make it: %s', async (_, fault) => {
    const team = await stage.team();
    stage.fault(team, { ...fault, commit: false }, { times: 1 });
    const created = await stage.video(team, stage.callback);
    await untilBound(idOf(created));
    await stage.untilWebhooks(idOf(created), ['job.queued', 'job.finished']);
    expect([made(team), stage.creates(team)]).toEqual([1, 2]);
  });

  it('should find the job that was made when TensorPix gave the id of another', async () => {
    const team = await stage.team();
    const first = await stage.video(team, { video_url: sourceUrl('sim-stick') });
    const body = { id: first.body.tensorpix_id as number, status: 0, cost_usd: '1.0' };
    stage.fault(team, { kind: 'body', status: 201, body, commit: true }, { times: 1 });
    const second = await stage.video(team);
    expect([second.status, second.body.status]).toEqual([202, 'unconfirmed']);
    expect(await untilBound(idOf(second))).not.toBe(String(body.id));
    expect((await stage.row(idOf(first))).tensorpix_id).toBe(String(body.id));
    expect([made(team), stage.creates(team)]).toEqual([2, 2]);
  });
});

describe('lists that lie while a job is looked for', () => {
  /** The list as it is, with something changed, for so many looks. */
  function lie(team: Team, body: unknown, times: number): void {
    stage.simulator.control.addFault({
      match: { method: 'GET', path: '/api/jobs/$', token: team.token },
      times,
      fault: { kind: 'body', status: 200, body },
    });
  }

  it.concurrent.each([
    ['a count too high', { count: 7, next: null, previous: null, results: [] }],
    ['no count', { next: null, previous: null, results: [] }],
    ['a count that is text', { count: '0', next: null, previous: null, results: [] }],
    ['an empty page that promises more', { count: 0, next: 'http://x/', previous: null, results: [] }],
    ['entries that cannot be read', { count: 1, next: null, previous: null, results: [{ id: 'x' }] }],
    ['no results', { count: 0, next: null, previous: null }],
    ['a list', []],
    ['HTML', '<html>maintenance</html>'],
  ])('should not prove that the job is not there: %s', async (_, body) => {
    const team = await stage.team();
    lie(team, body, 1_000);
    stage.fault(team, 'no_answer_after_commit', { times: 1 });
    const id = idOf(await stage.video(team));
    await eventually(
      () => stage.calls(team, 'GET').filter(({ path }) => path.startsWith('/api/jobs/?')).length,
      (looks) => looks >= 4,
    );
    expect((await stage.row(id)).status).toBe('unconfirmed');
    expect(await stage.eventTypes(id)).not.toContain('job.not_found');
    stage.endFaults(team);
    await untilBound(id);
    expect([made(team), stage.creates(team)]).toEqual([1, 1]);
  });
});

describe('what happens to the tenant while its job is unconfirmed', () => {
  async function stuck(team: Team): Promise<string> {
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$', token: team.token } });
    stage.fault(team, 'no_answer_after_commit', { times: 1 });
    const created = await stage.video(team);
    expect(created.body.status).toBe('unconfirmed');
    return idOf(created);
  }

  function patch(team: Team, body: object) {
    return request(stage.gateway.url).patch(`/v1/tenants/${team.id}`).set(ADMIN).send(body);
  }

  it('should be adopted although it was suspended', async () => {
    const team = await stage.team();
    const id = await stuck(team);
    await patch(team, { status: 'suspended' }).expect(200);
    stage.simulator.control.clearFaults();
    await untilBound(id);
    expect([made(team), stage.creates(team)]).toEqual([1, 1]);
  });

  it('should not be sent again while it is suspended, and once afterwards', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$', token: team.token } });
    stage.fault(team, 'no_answer', { times: 1 });
    const id = idOf(await stage.video(team));
    await patch(team, { status: 'suspended' }).expect(200);
    stage.simulator.control.clearFaults();
    await stage.untilRow(id, ({ status }) => status === 'submitting');
    expect(stage.creates(team)).toBe(1);
    await patch(team, { status: 'active' }).expect(200);
    await untilBound(id);
    expect([made(team), stage.creates(team)]).toEqual([1, 2]);
  });

  it('should not be deleted', async () => {
    const team = await stage.team();
    const id = await stuck(team);
    const refused = await request(stage.gateway.url).delete(`/v1/tenants/${team.id}`).set(ADMIN);
    expect([refused.status, refused.body.code]).toEqual([409, 'invalid_state']);
    stage.simulator.control.clearFaults();
    await untilBound(id);
  });

  it('should not be given a token of which nobody knows whose account it is', async () => {
    const team = await stage.team();
    const id = await stuck(team);
    const refused = await patch(team, { tensorpix_token: `alien-${team.token}` });
    expect([refused.status, refused.body.code]).toEqual([409, 'invalid_state']);
    stage.simulator.control.clearFaults();
    await untilBound(id);
    expect([made(team), stage.creates(team)]).toEqual([1, 1]);
  });

  it('should be adopted by a new token of the same account', async () => {
    const team = await stage.team();
    await stage.video(team, { video_url: sourceUrl('sim-stick') });
    const id = await stuck(team);
    const renewed = `renewed-${team.token}`;
    stage.simulator.control.changeAccount({ token: renewed, same_account_as: team.token });
    await patch(team, { tensorpix_token: renewed }).expect(200);
    stage.simulator.control.changeAccount({ token: team.token, revoked: true });
    await untilBound(id);
    expect([made(team), stage.creates(team)]).toEqual([2, 2]);
  });
});

/** TensorPix behind a clock that is off: every time that it tells, its `Date` included, is so much later. */
async function startShiftedTensorpix(target: string, shiftMs: number): Promise<{ url: string; server: Server }> {
  const shift = (text: string) =>
    text.replace(
      /"(\d{4}-\d\d-\d\dT[\d:.]+Z)"/g,
      (_, time: string) => `"${new Date(Date.parse(time) + shiftMs).toISOString()}"`,
    );
  const server = createServer((incoming, response) => {
    const { host: _, ...headers } = incoming.headers;
    const passed = httpRequest(`${target}${incoming.url}`, { method: incoming.method ?? 'GET', headers, agent: false });
    passed.on('response', (answer: IncomingMessage) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        response.writeHead(answer.statusCode ?? 500, {
          'content-type': 'application/json',
          date: new Date(Date.now() + shiftMs).toUTCString(),
        });
        response.end(shift(Buffer.concat(chunks).toString()));
      });
    });
    passed.on('error', () => incoming.socket.resetAndDestroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

describe.each([
  ['ten minutes behind', -600_000],
  ['ten minutes ahead', 600_000],
])('a TensorPix whose clock is %s', (_, shiftMs) => {
  let gateway: Gateway | undefined;
  let server: Server | undefined;
  let team: Team;

  beforeAll(async () => {
    const shifted = await startShiftedTensorpix(stage.simulator.url, shiftMs);
    server = shifted.server;
    // Its loops would look with the right clock for what this gateway has sent.
    await stage.gateway.close();
    gateway = await startGateway(stage.databaseUrl, shifted.url, ENV);
    stage.gateway = gateway;
    const token = `token-of-shifted-clock-${shiftMs < 0 ? 'behind' : 'ahead'}`;
    const tenant = await createTenant(gateway.url, token);
    team = { ...tenant, token, auth: { authorization: `Bearer ${tenant.key}` } };
  });

  afterAll(() => {
    server?.closeAllConnections();
    server?.close();
  });

  it('should adopt what was made', async () => {
    stage.fault(team, 'reset_after_commit', { times: 1 });
    const id = idOf(await stage.video(team));
    const before = made(team);
    await untilBound(id);
    expect(made(team)).toBe(before);
  });

  it('should not adopt what was there before, and send again what was not made', async () => {
    const url = sourceUrl('sim-stick');
    const foreign = await request(stage.simulator.url)
      .post(CREATE_VIDEO)
      .set({ authorization: `Token ${team.token}` })
      .send({ video_url: url, ml_models: [1] });
    // Further away than the slack of a clock of whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    stage.fault(team, 'reset', { times: 1 });
    const id = idOf(await stage.video(team, { video_url: url }));
    expect(await untilBound(id)).not.toBe(String(foreign.body.id));
    expect((await stage.row(id)).attempt).toBe(2);
  });
});
