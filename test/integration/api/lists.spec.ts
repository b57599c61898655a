import { beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant, eventually, type TestTenant } from '../../support/gateway.js';
import { freePort } from '../../support/ports.js';
import {
  ADMIN,
  bearer,
  expectProblem,
  expectRefused,
  IMAGE,
  OTHER_TOKEN,
  TOKEN,
  useWorld,
  VIDEO,
} from '../../support/world.js';

interface Listed {
  id: string;
  status: string;
  external_id: string | null;
  created_at: string;
}
interface Page {
  data: Listed[];
  next_cursor: string | null;
}

describe('lists', () => {
  const world = useWorld({ CALLBACK_RETRY_SCHEDULE_MS: '50' }, { queueMs: 600_000 });
  let tenant: TestTenant;
  const http = () => request(world.gateway.url);
  const get = async (query = '', list = '/v1/jobs', auth = bearer(tenant)): Promise<Page> =>
    (
      await http()
        .get(list + query)
        .set(auth)
        .expect(200)
    ).body as Page;
  const create = async (body: object = {}): Promise<string> =>
    String(
      (
        await http()
          .post('/v1/jobs')
          .set(bearer(tenant))
          .send({ ...VIDEO, ...body })
          .expect(201)
      ).body.id,
    );
  const walk = async (
    query: string,
    between: () => Promise<unknown> = async () => undefined,
    list = '/v1/jobs',
    auth = bearer(tenant),
  ) => {
    const pages: Page[] = [];
    for (let cursor: string | null | undefined; cursor !== null; cursor = pages.at(-1)?.next_cursor) {
      const next = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      pages.push(await get(`?${query}${next}`, list, auth));
      await between();
    }
    return pages;
  };
  const idsOf = (pages: Page[]) => pages.flatMap(({ data }) => data.map(({ id }) => id));

  beforeAll(async () => {
    tenant = await createTenant(world.gateway.url, TOKEN);
    for (let i = 0; i < 12; i += 1) await create({ external_id: `job-${i % 3}` });
    // Many of one moment: then the id alone is what orders.
    await world.sql(
      "update jobs set created_at = date_trunc('minute', now() - interval '1 hour') where external_id = 'job-1'",
    );
  });

  const inOrder = () =>
    world
      .sql<{ id: string }>('select id from jobs where tenant_id = $1 and kind = $2 order by created_at desc, id desc', [
        tenant.id,
        'video',
      ])
      .then((rows) => rows.map(({ id }) => id));

  it.each([1, 2, 5, 11, 12, 100])('should be whole, newest first and without repeats in pages of %p', async (limit) => {
    const pages = await walk(`limit=${limit}`);
    expect(idsOf(pages)).toEqual(await inOrder());
    expect(pages.slice(0, -1).every(({ data }) => data.length === limit)).toBe(true);
    expect(pages.at(-1)?.data).not.toHaveLength(0);
  });

  it('should miss and repeat nothing of what was there, while others are inserted', async () => {
    const before = await inOrder();
    const pages = await walk('limit=2', () => Promise.all([create(), create()]));
    const ids = idsOf(pages);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => before.includes(id))).toEqual(before);
  });

  it('should have twenty rows by default', async () => {
    for (let i = 0; i < 10; i += 1) await create();
    expect((await get()).data).toHaveLength(20);
  });

  it('should be filtered by states, repeatable, also across pages', async () => {
    const [failed, canceled] = [await create(), await create()];
    await http().post(`/v1/jobs/${canceled}/cancel`).set(bearer(tenant)).expect(200);
    const [row] = await world.sql<{ id: number }>('select tensorpix_id::int as id from jobs where id = $1', [failed]);
    world.simulator.control.changeJob(row?.id ?? 0, { status: -1 });
    await eventually(
      () => get('?status=failed'),
      ({ data }) => data.length === 1,
    );
    expect((await get('?status=failed')).data.map(({ id }) => id)).toEqual([failed]);
    expect(idsOf(await walk('status=failed&status=canceled&limit=1'))).toEqual([canceled, failed]);
    const all = await walk('status=queued&status=failed&status=canceled&status=processing&limit=3');
    expect(idsOf(all)).toEqual(await inOrder());
    expect((await get('?status=unconfirmed')).data).toEqual([]);
  });

  it('should be filtered by external_id, exactly', async () => {
    expect(idsOf(await walk('external_id=job-1&limit=3'))).toHaveLength(4);
    for (const name of ['job', 'JOB-1', 'job-1%20', '%25', '_ob-1', "' or ''='"])
      expect((await get(`?external_id=${encodeURIComponent(name)}`)).data).toEqual([]);
  });

  it('should be filtered by time, both ends excluded', async () => {
    const [row] = await world.sql<{ at: Date }>(
      "select distinct created_at as at from jobs where external_id = 'job-1'",
    );
    const at = row?.at.getTime() ?? 0;
    const iso = (ms: number) => new Date(ms).toISOString();
    expect((await get(`?created_after=${iso(at - 1)}&created_before=${iso(at + 1)}`)).data).toHaveLength(4);
    expect((await get(`?created_after=${iso(at)}&created_before=${iso(at + 1)}`)).data).toEqual([]);
    expect((await get(`?created_after=${iso(at - 1)}&created_before=${iso(at)}`)).data).toEqual([]);
    const shifted = iso(at + 2 * 3_600_000 - 1).replace('Z', '%2B02:00');
    expect((await get(`?created_after=${shifted}&created_before=${iso(at + 1)}`)).data).toHaveLength(4);
  });

  it('should be filtered by callbacks that have not got through, newest first, across pages and times', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      ids.unshift(await create({ callback_url: `http://127.0.0.1:${await freePort()}`, external_id: `lost-${i}` }));
      await create();
    }
    await eventually(
      () => get('?callback=undelivered'),
      (page) => page.data.length === ids.length,
    );
    for (const limit of [1, 2, 5, 100]) expect(idsOf(await walk(`callback=undelivered&limit=${limit}`))).toEqual(ids);
    const { data } = await get('?callback=undelivered');
    const [newest, oldest] = [data[0]!.created_at, data.at(-1)!.created_at];
    const later = `callback=undelivered&created_after=${oldest}`;
    expect(idsOf(await walk(`${later}&limit=2`))).toEqual(ids.slice(0, -1));
    expect(idsOf(await walk(`${later}&created_before=${newest}&limit=2`))).toEqual(ids.slice(1, -1));
    expect(idsOf(await walk(`callback=undelivered&created_before=1969-07-20T20:17:40Z`))).toEqual([]);
    expect(idsOf(await walk('callback=undelivered&external_id=lost-3&status=queued'))).toEqual([ids[1]]);
    expect(idsOf(await walk('callback=undelivered&status=finished'))).toEqual([]);
    expect((await get('?callback=undelivered', '/v1/images')).data).toEqual([]);
  });

  it('should show images and jobs apart', async () => {
    const { body } = await http().post('/v1/images').set(bearer(tenant)).send(IMAGE).expect(201);
    expect((await get('', '/v1/images')).data.map(({ id }) => id)).toEqual([body.id]);
    expect(idsOf(await walk('limit=100'))).not.toContain(body.id);
  });

  it.each([
    'limit=0',
    'limit=-1',
    'limit=101',
    'limit=abc',
    'limit=1.5',
    'limit=',
    'limit=1e1',
    'limit=9999999999999999999',
    'limit=1&limit=2',
    'cursor=',
    'cursor=abc',
    'cursor=a.b',
    'cursor=.',
    `cursor=${'a'.repeat(201)}`,
    'status=',
    'status=done',
    'status=queued&status=queued',
    'status=FINISHED',
    'created_after=',
    'created_after=yesterday',
    'created_after=2026-01-01',
    'created_after=1700000000',
    'created_after=2026-13-01T00:00:00Z',
    'created_after=2026-01-01T00:00:00Z&created_after=2026-01-01T00:00:00Z',
    'callback=',
    'callback=delivered',
    `external_id=${'a'.repeat(129)}`,
    'external_id=a%00',
    'unknown=1',
    'offset=1',
    'page=2',
  ])('should refuse ?%s', async (query) => {
    for (const list of ['/v1/jobs', '/v1/images'])
      await expectRefused(world, () => http().get(`${list}?${query}`).set(bearer(tenant)), 400, 'validation_failed');
  });

  it.each([
    'created_after=0000-01-01T00:00:00Z',
    'created_before=9999-12-31T23:59:59-23:59',
    'created_after=2026-02-30T00:00:00Z',
  ])('should answer or refuse the odd time ?%s, not fail', async (query) => {
    const answer = await http().get(`/v1/jobs?${query}`).set(bearer(tenant));
    expect([200, 400]).toContain(answer.status);
  });

  it('should refuse a cursor with any character changed, and one with something added', async () => {
    const cursor = (await get('?limit=1')).next_cursor ?? '';
    const changed = [...cursor].map((char, i) => cursor.slice(0, i) + (char === 'A' ? 'B' : 'A') + cursor.slice(i + 1));
    const odd = [
      `${cursor}A`,
      `${cursor}.x`,
      `${cursor}=`,
      `A${cursor}`,
      cursor.slice(1),
      cursor.slice(0, -1),
      cursor.replace('.', ''),
    ];
    const accepted: string[] = [];
    for (const value of [...changed, ...odd]) {
      const answer = await http()
        .get(`/v1/jobs?cursor=${encodeURIComponent(value)}`)
        .set(bearer(tenant));
      if (answer.status !== 400) accepted.push(value);
      else expectProblem(answer, 400, 'validation_failed');
    }
    expect(accepted).toEqual([]);
  });

  it('should refuse the cursors of other lists', async () => {
    const job = await create();
    for (let i = 0; i < 2; i += 1) await http().post('/v1/images').set(bearer(tenant)).send(IMAGE).expect(201);
    const keys = `/v1/tenants/${tenant.id}/api-keys`;
    await http().post(keys).set(ADMIN).send({ name: 'second' }).expect(201);
    const lists: [string, { authorization: string }][] = [
      ['/v1/jobs', bearer(tenant)],
      ['/v1/images', bearer(tenant)],
      [`/v1/jobs/${job}/events`, bearer(tenant)],
      ['/v1/tenants', ADMIN],
      [keys, ADMIN],
    ];
    const cursors = await Promise.all(
      lists.map(async ([path, auth]) => (await get('?limit=1', path, auth)).next_cursor ?? ''),
    );
    expect(cursors.every((cursor) => cursor !== '')).toBe(true);
    for (const [i, [path, auth]] of lists.entries())
      for (const [j, cursor] of cursors.entries())
        expect({ path, j, status: (await http().get(`${path}?cursor=${cursor}`).set(auth)).status }).toEqual({
          path,
          j,
          status: i === j ? 200 : 400,
        });
  });

  it("should refuse the cursor of another tenant's list", async () => {
    const other = await createTenant(world.gateway.url, OTHER_TOKEN);
    const cursor = (await get('?limit=1')).next_cursor ?? '';
    expectProblem(await http().get(`/v1/jobs?cursor=${cursor}`).set(bearer(other)), 400, 'validation_failed');
  });

  it('should show the tenants and their keys page by page as well', async () => {
    for (let i = 0; i < 3; i += 1) await createTenant(world.gateway.url, OTHER_TOKEN);
    const pages = await walk('limit=2', undefined, '/v1/tenants', ADMIN);
    const rows = await world.sql<{ id: string }>('select id from tenants order by created_at desc, id desc');
    expect(idsOf(pages)).toEqual(rows.map(({ id }) => id));
  });

  it('should show the events of a job oldest first, page by page', async () => {
    const id = await create();
    await http().post(`/v1/jobs/${id}/cancel`).set(bearer(tenant)).expect(200);
    const events = (await walk('limit=1', undefined, `/v1/jobs/${id}/events`)) as unknown as {
      data: { sequence: number }[];
    }[];
    const numbers = events.flatMap(({ data }) => data.map(({ sequence }) => sequence));
    expect(numbers.length).toBeGreaterThan(2);
    expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  });
});
