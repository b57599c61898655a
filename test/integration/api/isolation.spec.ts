import { beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant, type TestTenant } from '../../support/gateway.js';
import {
  bearer,
  exchange,
  expectProblem,
  IMAGE,
  OTHER_TOKEN,
  TOKEN,
  useWorld,
  VIDEO,
  type Answer,
} from '../../support/world.js';

/** What a look at TensorPix does not change. */
const UNTOUCHED = 'select id, tenant_id, status, sequence, cancel_requested_at, finished_at from jobs order by id';

const NOBODY = '0190a5c2-0000-7000-8000-000000000000';

/** What of an answer may not tell two ids apart. */
function shapeOf({ status, headers, body }: Answer, id: string): object {
  const { date: _date, 'x-request-id': _id, ...rest } = headers as Record<string, string>;
  return { status, headers: rest, body: JSON.stringify({ ...body, request_id: '' }).replaceAll(id, '') };
}

describe("another tenant's ids", () => {
  const world = useWorld({}, { queueMs: 600_000 });
  let other: TestTenant;
  let sameToken: TestTenant;
  let job: string;
  let image: string;

  beforeAll(async () => {
    other = await createTenant(world.gateway.url, OTHER_TOKEN);
    sameToken = await createTenant(world.gateway.url, TOKEN);
    const http = () => request(world.gateway.url);
    job = String(
      (
        await http()
          .post('/v1/jobs')
          .set(world.auth)
          .send({ ...VIDEO, external_id: 'mine' })
          .expect(201)
      ).body.id,
    );
    image = String((await http().post('/v1/images').set(world.auth).send(IMAGE).expect(201)).body.id);
  });

  const routes = (): [string, string, (id: string) => string][] => [
    ['GET', job, (id) => `/v1/jobs/${id}`],
    ['GET', job, (id) => `/v1/jobs/${id}/events`],
    ['POST', job, (id) => `/v1/jobs/${id}/cancel`],
    ['GET', image, (id) => `/v1/images/${id}`],
    ['GET', image, (id) => `/v1/images/${id}/events`],
  ];

  it.each([0, 1, 2, 3, 4])('should answer exactly as ids that do not exist (route %p)', async (index) => {
    const [method, id, path] = routes()[index] as [string, string, (id: string) => string];
    const before = await world.sql(UNTOUCHED);
    const deletes = () => world.simulator.control.requests().filter((call) => call.method === 'DELETE').length;
    for (const tenant of [other, sameToken]) {
      const send = (which: string) =>
        exchange(world.gateway.url, { method, path: path(which), headers: { ...bearer(tenant), prefer: 'wait=1' } });
      const theirs = await send(id);
      const nobodys = await send(NOBODY);
      expectProblem(theirs, 404, 'not_found');
      expect(shapeOf(theirs, id)).toEqual(shapeOf(nobodys, NOBODY));
      expect(shapeOf(await send(id.toUpperCase()), id.toUpperCase())).toEqual(shapeOf(nobodys, NOBODY));
    }
    expect(await world.sql(UNTOUCHED)).toEqual(before);
    expect(deletes()).toBe(0);
  });

  it('should not be answered by the route of the other kind', async () => {
    for (const path of [
      `/v1/jobs/${image}`,
      `/v1/jobs/${image}/events`,
      `/v1/images/${job}`,
      `/v1/images/${job}/events`,
    ])
      expectProblem(await exchange(world.gateway.url, { method: 'GET', path, headers: world.auth }), 404, 'not_found');
    const path = `/v1/jobs/${image}/cancel`;
    expectProblem(await exchange(world.gateway.url, { path, headers: world.auth }), 404, 'not_found');
  });

  it('should not be in a list, whatever the filter', async () => {
    for (const tenant of [other, sameToken])
      for (const list of ['/v1/jobs', '/v1/images'])
        for (const query of [
          '',
          '?external_id=mine',
          '?status=queued&status=finished',
          '?created_after=2000-01-01T00:00:00Z',
        ]) {
          const { body } = await request(world.gateway.url)
            .get(list + query)
            .set(bearer(tenant))
            .expect(200);
          expect(body).toEqual({ data: [], next_cursor: null });
        }
  });

  it('should not share a webhook secret with tenants of the same account', async () => {
    const secrets = await Promise.all(
      [world.auth, bearer(other), bearer(sameToken)].map(
        async (auth) =>
          (await request(world.gateway.url).get('/v1/webhook-secret').set(auth).expect(200)).body.secret as string,
      ),
    );
    expect(new Set(secrets).size).toBe(3);
  });
});
