import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { connect, type Socket } from 'node:net';
import request from 'supertest';
import { Agent, EventSource } from 'undici';
import { Draining } from '../../../src/common/draining.js';
import { EventStreams } from '../../../src/modules/jobs/event-streams.service.js';
import { startTcpRelay } from '../../support/crash/tcp-relay.js';
import { openEvents, type EventReader } from '../../support/event-reader.js';
import { ADMIN_KEY, eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

/** Jobs stay in the queue until a test moves them. */
const stage = useStage({ simulator: { queueMs: 3_600_000 } });
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };
const readers: EventReader[] = [];

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.hangUp();
  await untilOpen(stage.gateway, 0);
});

async function newJob(team: Team): Promise<string> {
  return idOf(await stage.video(team));
}

async function follow(
  team: Team,
  id: string,
  headers: Record<string, string> = {},
  { url }: { url: string } = stage.gateway,
): Promise<EventReader> {
  const reader = await openEvents(`${url}/v1/jobs/${id}/events`, { ...team.auth, ...headers });
  readers.push(reader);
  return reader;
}

function streamsOf({ app }: Gateway): EventStreams {
  return app.get(EventStreams, { strict: false });
}

async function untilOpen({ url }: { url: string }, count: number): Promise<void> {
  const metrics = async (): Promise<string> => (await request(url).get('/metrics')).text;
  const open = async (): Promise<number> => Number(/\ngateway_event_streams (\d+)\n/.exec(await metrics())?.[1]);
  await eventually(open, (streams) => streams === count);
}

async function finish(id: string): Promise<void> {
  stage.simulator.control.changeJob(Number((await stage.row(id)).tensorpix_id), { status: 2 });
  await stage.makeLooksDue();
}

/** Events that no worker makes, written as one fact each with the row's own number. */
async function addEvents(id: string, count: number, bytes = 0): Promise<void> {
  await stage.sql(
    `with job as (update jobs set sequence = sequence + $2 where id = $1 returning *)
     insert into job_events (job_id, sequence, tenant_id, type, data)
     select j.id, j.sequence - $2 + n, j.tenant_id, 'job.progress', json_build_object('text', repeat('x', $3))
       from job j, generate_series(1, $2::int) as n`,
    [id, count, bytes],
  );
}

function upTo(last: number, first = 1): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

function lineOf(gateway: Gateway, requestId: unknown): Record<string, unknown>[] {
  const lines = gateway.logs().split('\n').slice(0, -1);
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg, request_id }) => msg === 'request' && request_id === requestId);
}

describe('the events of a job as a stream', () => {
  it('should tell first what has happened, then what happens, and end with the job', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    const reader = await follow(team, id, { 'x-request-id': 'stream-1' });
    expect([reader.status, reader.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8']);
    expect(reader.headers).toMatchObject({
      'cache-control': expect.stringContaining('no-store'),
      'x-accel-buffering': 'no',
      'x-request-id': 'stream-1',
    });
    await reader.untilEvents(2);
    expect(reader.text).toMatch(/^retry: \d+\n\nid: 1\nevent: job\.submitting\ndata: \{/);
    await finish(id);
    await reader.untilOver();
    expect(reader.over).toBe('end');
    const listed = (await stage.get(team, `/v1/jobs/${id}/events`)).body as { data: { type: string }[] };
    expect(reader.events.map(({ data }) => JSON.parse(data) as unknown)).toEqual(listed.data);
    expect(reader.events.map(({ event }) => event)).toEqual(listed.data.map(({ type }) => type));
    expect(reader.ids).toEqual(upTo(listed.data.length));
    expect(listed.data.at(-1)?.type).toBe('job.finished');
    const [line, ...more] = await eventually(
      () => lineOf(stage.gateway, 'stream-1'),
      (lines) => lines.length > 0,
    );
    expect(more).toEqual([]);
    expect(line).toMatchObject({ status: 200, tenant_id: team.id, ended_by: 'job_ended', events: listed.data.length });
    expect(Number(line?.duration_ms)).toBeLessThan(Number(line?.stream_ms));
  });

  it('should be there for images too', async () => {
    const team = await stage.team();
    const id = idOf(await stage.image(team));
    const reader = await openEvents(`${stage.gateway.url}/v1/images/${id}/events`, team.auth);
    await reader.untilOver();
    expect(reader.events.map(({ event }) => event)).toEqual(['image.submitting', 'image.finished']);
    const again = await openEvents(`${stage.gateway.url}/v1/images/${id}/events`, {
      ...team.auth,
      'last-event-id': '2',
    });
    expect(again.status).toBe(204);
  });

  it('should page through a long history, each event once and in order', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    await addEvents(id, 1_000);
    const reader = await follow(team, id);
    await reader.untilEvents(1_002);
    await addEvents(id, 250);
    await reader.untilEvents(1_252);
    expect(reader.ids).toEqual(upTo(1_252));
  });

  it('should be followed by an EventSource over a lost connection, without a gap or a repeat, to its end', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    const { hostname, port } = new URL(stage.gateway.url);
    const relay = await startTcpRelay({ host: hostname, port: Number(port) }, ({ client, server }) => ({
      fromClient: (chunk) => void server.write(chunk),
      fromServer: (chunk) => void client.write(chunk),
      serverEnded: () => undefined,
    }));
    const agent = new Agent();
    const dispatcher = agent.compose((dispatch) => (options, handler) => {
      const headers = { ...(options.headers as Record<string, string>), ...team.auth };
      return dispatch({ ...options, headers }, handler);
    });
    const seen: number[] = [];
    let connections = 0;
    const source = new EventSource(`http://127.0.0.1:${relay.port}/v1/jobs/${id}/events`, { dispatcher });
    source.addEventListener('open', () => (connections += 1));
    const see = (event: Event): void => void seen.push(Number((event as MessageEvent).lastEventId));
    for (const type of ['submitting', 'queued', 'progress', 'processing', 'finished'])
      source.addEventListener(`job.${type}`, see);
    const untilSeen = (count: number) =>
      eventually(
        () => seen.length,
        (length) => length >= count,
      );
    await untilSeen(2);
    relay.cut();
    await addEvents(id, 3);
    await untilSeen(5);
    await finish(id);
    const { sequence } = await stage.untilRow(id, ({ status }) => status === 'finished');
    await eventually(
      () => source.readyState,
      (state) => state === EventSource.CLOSED,
    );
    expect(seen).toEqual(upTo(sequence));
    expect(connections).toBe(2);
    await agent.close();
    await relay.close();
  });
});

describe('Last-Event-ID', () => {
  it('should resume behind it', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    await addEvents(id, 5);
    const reader = await follow(team, id, { 'last-event-id': '4' });
    await reader.untilEvents(3);
    await addEvents(id, 1);
    await reader.untilEvents(4);
    expect(reader.ids).toEqual(upTo(8, 5));
  });

  it('should mean everything so far when it is beyond the last event', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    const reader = await follow(team, id, { 'last-event-id': '99999999999999999999' });
    await addEvents(id, 1);
    await reader.untilEvents(1);
    expect(reader.ids).toEqual([3]);
  });

  it('should be answered 204 when the job has ended and everything was seen', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    await finish(id);
    const { sequence } = await stage.untilRow(id, ({ status }) => status === 'finished');
    for (const seen of [sequence, sequence + 1]) {
      const reader = await (await follow(team, id, { 'last-event-id': String(seen) })).untilOver();
      expect([reader.status, reader.text, reader.headers['content-type']]).toEqual([204, '', undefined]);
    }
    const rest = await (await follow(team, id, { 'last-event-id': String(sequence - 1) })).untilOver();
    expect([rest.status, rest.ids]).toEqual([200, [sequence]]);
  });

  it('should be refused, by its name, unless it is a whole number', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    for (const value of ['-1', '+1', '1.5', 'x', '', '1e3', '0x1', '\u00b2', '1, 2']) {
      const reader = await (await follow(team, id, { 'last-event-id': value })).untilOver();
      expect([value, reader.status]).toEqual([value, 400]);
      expect(reader.json).toMatchObject({
        code: 'validation_failed',
        errors: { 'Last-Event-ID': [expect.stringContaining('whole number')] },
      });
    }
  });
});

describe('a stream on its connection', () => {
  it('should give signs of life while nothing happens', async () => {
    const { times } = streamsOf(stage.gateway);
    times.keepAlive = 100;
    const team = await stage.team();
    const id = await newJob(team);
    const reader = await follow(team, id);
    times.keepAlive = 15_000;
    await eventually(
      () => reader.text,
      (text) => text.endsWith('\n\n:\n\n:\n\n'),
    );
    await addEvents(id, 1);
    await reader.untilEvents(3);
    expect(reader.ids).toEqual([1, 2, 3]);
  });

  it('should be only its headers for HEAD, with the status of GET', async () => {
    const team = await stage.team();
    const url = `${stage.gateway.url}/v1/jobs/${await newJob(team)}/events`;
    const reader = await (await openEvents(url, team.auth, 'HEAD')).untilOver();
    expect([reader.status, reader.text]).toEqual([200, '']);
    expect(reader.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect((await openEvents(url, { ...team.auth, 'last-event-id': '-' }, 'HEAD')).status).toBe(400);
    await untilOpen(stage.gateway, 0);
  });

  it('should be followed by the answer of a request that was pipelined behind it', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    const { socket, text } = await pipeline(team, [`/v1/jobs/${id}/events`, `/v1/jobs/${id}`]);
    await eventually(text, (sent) => sent.includes('event: job.queued'));
    await finish(id);
    await eventually(text, (sent) => sent.includes('"object":"job"'));
    expect(text().match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    expect(text().indexOf('event: job.finished')).toBeLessThan(text().lastIndexOf('HTTP/1.1 200 OK'));
    socket.destroy();
  });

  it('should be given up with its connection, also behind another one', async () => {
    const team = await stage.team();
    const path = `/v1/jobs/${await newJob(team)}/events`;
    const { socket, text } = await pipeline(team, [path, path, path]);
    await eventually(text, (sent) => sent.includes('event: job.queued'));
    await untilOpen(stage.gateway, 3);
    socket.destroy();
    await untilOpen(stage.gateway, 0);
  });
});

/** Sends requests on one connection without waiting for answers. */
async function pipeline(team: Team, paths: string[]): Promise<{ socket: Socket; text: () => string }> {
  const { hostname, port } = new URL(stage.gateway.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('error', () => undefined).on('data', (chunk: Buffer) => (text += chunk.toString()));
  const head = `HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAuthorization: ${team.auth.authorization}\r\n\r\n`;
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(paths.map((path) => `GET ${path} ${head}`).join(''));
  return { socket, text: () => text };
}

describe('who may have a stream', () => {
  it('should get JSON without asking for a stream', async () => {
    const team = await stage.team();
    const id = await newJob(team);
    for (const accept of ['*/*', 'application/json', 'text/event-stream;q=0.1, application/json']) {
      const answer = await request(stage.gateway.url).get(`/v1/jobs/${id}/events`).set(team.auth).set({ accept });
      expect([answer.status, (answer.body as { data: unknown[] }).data.length]).toEqual([200, 2]);
    }
  });

  it('should be its own tenant only, with a key that may read jobs', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const id = await newJob(team);
    expect((await (await follow(other, id)).untilOver()).json).toMatchObject({ status: 404, code: 'not_found' });
    const image = await openEvents(`${stage.gateway.url}/v1/images/${id}/events`, team.auth);
    expect((await image.untilOver()).json).toMatchObject({ status: 404, code: 'not_found' });
    const { body } = await request(stage.gateway.url)
      .post(`/v1/tenants/${team.id}/api-keys`)
      .set(ADMIN)
      .send({ name: 'writer', scopes: ['jobs:write', 'images:read'] });
    const writer = { authorization: `Bearer ${(body as { key: string }).key}` };
    expect((await (await follow(team, id, writer)).untilOver()).json).toMatchObject({ status: 403 });
    expect((await (await follow(team, id, ADMIN)).untilOver()).json).toMatchObject({ status: 403 });
    const nobody = await openEvents(`${stage.gateway.url}/v1/jobs/${id}/events`, {});
    expect((await nobody.untilOver()).json).toMatchObject({ status: 401 });
  });

  it('should lose it when the key, the tenant or the job is gone, on every replica', async () => {
    const replica = await startGateway(stage.databaseUrl, stage.simulator.url, { GATEWAY_ROLE: 'api' });
    const [revoked, expired, suspended, swept, kept] = await Promise.all(Array.from({ length: 5 }, () => stage.team()));
    const ends: [Team | undefined, string, () => Promise<unknown>][] = [
      [revoked, 'key_ended', () => revoke(revoked)],
      [
        expired,
        'key_ended',
        () => stage.sql('update api_keys set expires_at = now() where tenant_id = $1', [expired?.id]),
      ],
      [suspended, 'key_ended', () => suspend(suspended)],
      [swept, 'job_gone', () => stage.sql('delete from jobs where tenant_id = $1', [swept?.id])],
    ];
    const open = async (team: Team): Promise<EventReader> => {
      const reader = await follow(team, await newJob(team), { 'x-request-id': team.id }, replica);
      return reader.untilEvents(2);
    };
    const all = await Promise.all(ends.map(async ([team]) => open(team as Team)));
    const bystander = await open(kept as Team);
    await Promise.all(ends.map(([, , end]) => end()));
    await Promise.all(all.map((reader) => reader.untilOver()));
    expect(all.map(({ over }) => over)).toEqual(ends.map(() => 'end'));
    for (const [team, reason] of ends) expect(lineOf(replica, team?.id)[0]).toMatchObject({ ended_by: reason });
    expect(bystander.over).toBeNull();
    await replica.close();
  });

  it('should be a hundred of a tenant at a time', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const [id, others] = [await newJob(team), await newJob(other)];
    const all = await Promise.all(Array.from({ length: 100 }, () => follow(team, id)));
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    const refused = await (await follow(team, id)).untilOver();
    expect(refused.json).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(refused.headers['retry-after']).toMatch(/^\d+$/);
    expect((await follow(other, others)).status).toBe(200);
    all[0]?.hangUp();
    await untilOpen(stage.gateway, 100);
    expect((await follow(team, id)).status).toBe(200);
  });
});

async function revoke(team: Team | undefined): Promise<void> {
  const keys = `/v1/tenants/${team?.id}/api-keys`;
  const { body } = await request(stage.gateway.url).get(keys).set(ADMIN);
  const [key] = (body as { data: { id: string }[] }).data;
  await request(stage.gateway.url).delete(`${keys}/${key?.id}`).set(ADMIN).expect(204);
}

async function suspend(team: Team | undefined): Promise<void> {
  await request(stage.gateway.url)
    .patch(`/v1/tenants/${team?.id}`)
    .set(ADMIN)
    .send({ status: 'suspended' })
    .expect(200);
}

/** Asks for a stream and never reads what comes. */
function askAndStall(team: Team, id: string, requestId: string, { url }: Gateway): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => {
      socket.pause();
      socket.write(
        `GET /v1/jobs/${id}/events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nX-Request-Id: ${requestId}\r\n` +
          `Authorization: ${team.auth.authorization}\r\n\r\n`,
      );
      resolve(socket);
    });
    socket.on('error', () => undefined);
  });
}

describe('a reader that takes nothing', () => {
  /** More than the buffers of a connection hold. */
  const MUCH = { events: 1_000, bytes: 20_000 };
  let gateway: Gateway;
  let team: Team;
  let id: string;

  beforeAll(async () => {
    gateway = await startGateway(stage.databaseUrl, stage.simulator.url, { GATEWAY_ROLE: 'api' });
    team = await stage.team();
    id = await newJob(team);
    await addEvents(id, MUCH.events, MUCH.bytes);
  });

  afterAll(() => gateway?.close());

  /** Once this resolves, a caller waits for a job with `Prefer: wait`. */
  async function waitForNews(): Promise<{ answered: Promise<number> }> {
    const waiting = await stage.team();
    const job = request(gateway.url).get(`/v1/jobs/${await newJob(waiting)}`);
    const answered = job
      .set(waiting.auth)
      .set('prefer', 'wait=60')
      .then(({ status }) => status);
    await eventually(
      () => stage.sql('select 1 from tenant_paces where tenant_id = $1 and hurried_until > now()', [waiting.id]),
      (rows) => rows.length > 0,
    );
    return { answered };
  }

  async function lineOfStalled(requestId: string): Promise<Record<string, unknown> | undefined> {
    const read = () => lineOf(gateway, requestId);
    return (await eventually(read, (lines) => lines.length > 0))[0];
  }

  it('should be dropped, and hold but a part of the history meanwhile; others get all of it', async () => {
    const { times } = streamsOf(gateway);
    times.stalled = 500;
    const socket = await askAndStall(team, id, 'stalled', gateway);
    const line = await lineOfStalled('stalled');
    times.stalled = 30_000;
    expect(line).toMatchObject({ ended_by: 'stalled', events: expect.any(Number) });
    expect(Number(line?.events)).toBeLessThan(MUCH.events);
    const healthy = await follow(team, id, {}, gateway);
    await healthy.untilEvents(MUCH.events + 2);
    expect(healthy.ids).toEqual(upTo(MUCH.events + 2));
    healthy.hangUp();
    socket.destroy();
  });

  it('should not hold up a drain, which ends every stream and wait; who comes then is told to come back', async () => {
    const healthy = await follow(team, id, { 'last-event-id': String(MUCH.events) }, gateway);
    const socket = await askAndStall(team, id, 'drained', gateway);
    await untilOpen(gateway, 2);
    const waiting = await waitForNews();
    gateway.app.get(Draining).begin();
    expect(await waiting.answered).toBe(200);
    expect((await healthy.untilOver()).over).toBe('end');
    const late = await (await openEvents(`${gateway.url}/v1/jobs/${id}/events`, {})).untilOver();
    expect([late.status, late.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8']);
    expect(late.text).toBe(': unavailable\nretry: 5000\n\n');
    await request(gateway.url).get(`/v1/jobs/${id}/events`).expect(503);
    await request(gateway.url).get('/v1/jobs').set('accept', 'text/event-stream').expect(503);
    await gateway.close();
    expect(await lineOfStalled('drained')).toMatchObject({ ended_by: 'draining' });
    socket.destroy();
  });
});
