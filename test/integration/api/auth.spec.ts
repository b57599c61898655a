import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { ADMIN_KEY, createTenant, eventually, startGateway } from '../../support/gateway.js';
import { useDatabase } from '../../support/database.js';
import { startSimulator } from '../../../simulator/simulator.js';
import {
  ADMIN,
  bearer,
  exchange,
  expectProblem,
  expectRefused,
  IMAGE,
  OTHER_TOKEN,
  TOKEN,
  useWorld,
  VIDEO,
  type Answer,
} from '../../support/world.js';

const NOBODY = '0190a5c2-0000-7000-8000-000000000000';

/** Every route of a tenant with the scope that it needs. */
const TENANT_ROUTES: [string, string, string, object | undefined][] = [
  ['POST', '/v1/jobs', 'jobs:write', VIDEO],
  ['GET', '/v1/jobs', 'jobs:read', undefined],
  ['GET', `/v1/jobs/${NOBODY}`, 'jobs:read', undefined],
  ['GET', `/v1/jobs/${NOBODY}/events`, 'jobs:read', undefined],
  ['POST', `/v1/jobs/${NOBODY}/cancel`, 'jobs:write', undefined],
  ['POST', '/v1/images', 'images:write', IMAGE],
  ['GET', '/v1/images', 'images:read', undefined],
  ['GET', `/v1/images/${NOBODY}`, 'images:read', undefined],
  ['GET', `/v1/images/${NOBODY}/events`, 'images:read', undefined],
  ['GET', '/v1/webhook-secret', 'webhooks:read', undefined],
  ['POST', '/v1/webhook-secret/rotate', 'webhooks:write', {}],
];
const ADMIN_ROUTES: [string, string, object | undefined][] = [
  ['POST', '/v1/tenants', { name: 'a', tensorpix_token: TOKEN }],
  ['GET', '/v1/tenants', undefined],
  ['GET', `/v1/tenants/${NOBODY}`, undefined],
  ['PATCH', `/v1/tenants/${NOBODY}`, { name: 'b' }],
  ['DELETE', `/v1/tenants/${NOBODY}`, undefined],
  ['POST', `/v1/tenants/${NOBODY}/api-keys`, { name: 'k' }],
  ['GET', `/v1/tenants/${NOBODY}/api-keys`, undefined],
  ['DELETE', `/v1/tenants/${NOBODY}/api-keys/${NOBODY}`, undefined],
];
const SCOPES = [
  'jobs:write',
  'jobs:read',
  'images:write',
  'images:read',
  'webhooks:write',
  'webhooks:read',
  'usage:read',
];

describe('keys', () => {
  const world = useWorld();
  const call = (method: string, path: string, headers: object, body?: object): Promise<Answer> =>
    exchange(world.gateway.url, {
      method,
      path,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const newKey = async (body: object = {}, tenantId = world.tenant.id) => {
    const path = `/v1/tenants/${tenantId}/api-keys`;
    const answer = await request(world.gateway.url)
      .post(path)
      .set(ADMIN)
      .send({ name: 'k', ...body })
      .expect(201);
    return answer.body as { id: string; key: string; prefix: string };
  };

  describe.each([...TENANT_ROUTES.map(([m, p, , b]) => [m, p, b] as const), ...ADMIN_ROUTES])(
    '%s %s',
    (method, path, body) => {
      it.each([
        ['no key', {}],
        ['an empty header', { authorization: '' }],
        ['no scheme', { authorization: 'tpg_abc' }],
        ['a scheme alone', { authorization: 'Bearer' }],
        ['an empty key', { authorization: 'Bearer ' }],
        ['an unknown key', { authorization: `Bearer tpg_${'a'.repeat(43)}` }],
        ['two keys', { authorization: `Bearer ${ADMIN_KEY} ${ADMIN_KEY}` }],
        ['a key of 10 kB', { authorization: `Bearer ${'a'.repeat(10_000)}` }],
        ['another scheme', { authorization: `Basic ${Buffer.from(`admin:${ADMIN_KEY}`).toString('base64')}` }],
        ['the admin key with something added', { authorization: `Bearer ${ADMIN_KEY}a` }],
        ['the admin key without its end', { authorization: `Bearer ${ADMIN_KEY.slice(0, -1)}` }],
        ['SQL', { authorization: "Bearer ' or 1=1 --" }],
      ])('should be refused with %s', async (_, headers) => {
        await expectRefused(world, () => call(method, path, headers, body), 401, 'unauthenticated');
      });
    },
  );

  it.each(TENANT_ROUTES)('should open %s %s with the scope %s and no other', async (method, path, scope, body) => {
    const without = await newKey({ scopes: SCOPES.filter((other) => other !== scope) });
    await expectRefused(world, () => call(method, path, bearer(without), body), 403, 'forbidden');
    const only = await newKey({ scopes: [scope] });
    expect([200, 201, 404]).toContain((await call(method, path, bearer(only), body)).status);
  });

  it.each(TENANT_ROUTES)('should not open %s %s with the admin key', async (method, path, _scope, body) => {
    await expectRefused(world, () => call(method, path, ADMIN, body), 403, 'forbidden');
  });

  it.each(ADMIN_ROUTES)('should not open %s %s with a tenant key', async (method, path, body) => {
    await expectRefused(world, () => call(method, path, world.auth, body), 403, 'forbidden');
  });

  it.each(['Bearer', 'Token', 'bearer', 'TOKEN', 'tOkEn'])('should be taken after %s', async (scheme) => {
    const tenant = { authorization: `${scheme} ${world.tenant.key}` };
    expect((await call('GET', '/v1/jobs', tenant)).status).toBe(200);
    const admin = { authorization: `${scheme} ${ADMIN_KEY}` };
    expect((await call('GET', '/v1/tenants', admin)).status).toBe(200);
  });

  it('should not be taken from the query, a cookie or another header', async () => {
    const { key } = world.tenant;
    for (const headers of [
      { cookie: `authorization=${key}` },
      { 'x-api-key': key },
      { 'proxy-authorization': `Bearer ${key}` },
    ])
      expectProblem(await call('GET', `/v1/jobs?token=${key}&authorization=${key}`, headers), 401, 'unauthenticated');
  });

  it('should be shown once and stored as a hash only', async () => {
    const { id, key, prefix } = await newKey({ name: 'shown once' });
    expect(key).toMatch(/^tpg_[A-Za-z0-9_-]{43,}$/);
    expect(key.startsWith(prefix)).toBe(true);
    const list = await call('GET', `/v1/tenants/${world.tenant.id}/api-keys`, ADMIN);
    expect(list.text).toContain(id);
    expect(list.text).not.toContain(key);
    const [row] = await world.sql<{ row: string }>('select to_jsonb(k)::text as row from api_keys k where id = $1', [
      id,
    ]);
    expect(row?.row).not.toContain(key.slice(prefix.length));
    expect(row?.row).not.toContain(Buffer.from(key).toString('hex'));
  });

  it('should stop with its expiry', async () => {
    const expiring = await newKey({ expires_at: new Date(Date.now() + 60_000).toISOString() });
    expect((await call('GET', '/v1/jobs', bearer(expiring))).status).toBe(200);
    const expired = await newKey({ expires_at: new Date(Date.now() + 60_000).toISOString() });
    await world.sql("update api_keys set expires_at = now() - interval '1 second' where id = $1", [expired.id]);
    await expectRefused(world, () => call('POST', '/v1/jobs', bearer(expired), VIDEO), 401, 'unauthenticated');
  });

  it("should stop with its expiry by the database's clock, whatever that of the replica says (invariant 9)", async () => {
    const inAnHour = { expires_at: new Date(Date.now() + 3_600_000).toISOString() };
    const [expiring, expired] = [await newKey(inAnHour), await newKey(inAnHour)];
    await world.sql("update api_keys set expires_at = now() - interval '1 second' where id = $1", [expired.id]);
    const { now } = Date;
    try {
      Date.now = () => now() + 2 * 3_600_000;
      expect((await call('GET', '/v1/jobs', bearer(expiring))).status).toBe(200);
      Date.now = () => now() - 2 * 3_600_000;
      expect((await call('GET', '/v1/jobs', bearer(expired))).status).toBe(401);
    } finally {
      Date.now = now;
    }
  });

  it.each([
    { expires_at: '2020-01-01T00:00:00Z' },
    { expires_at: 'tomorrow' },
    { expires_at: '2999-02-30' },
    { expires_at: 4102444800 },
    { expires_at: '9999-12-31T23:59:59-23:59' },
    { scopes: [] },
    { scopes: ['jobs:delete'] },
    { scopes: ['jobs:read', 'jobs:read'] },
    { scopes: 'jobs:read' },
    { name: '' },
    { name: null },
    { name: 'a'.repeat(201) },
    { name: 'a\u0000' },
    { key: 'tpg_mine' },
  ])('should not be made from %j', async (body) => {
    const path = `/v1/tenants/${world.tenant.id}/api-keys`;
    const problem = await expectRefused(
      world,
      () => call('POST', path, ADMIN, { name: 'k', ...body }),
      400,
      'validation_failed',
    );
    expect(Object.keys(problem.errors)).toEqual(Object.keys(body));
  });

  it('should stop when it is revoked, and leave the list', async () => {
    const { id, key } = await newKey();
    const path = `/v1/tenants/${world.tenant.id}/api-keys`;
    expect((await call('GET', '/v1/jobs', bearer({ key }))).status).toBe(200);
    expect((await call('DELETE', `${path}/${id}`, ADMIN)).status).toBe(204);
    await expectRefused(world, () => call('POST', '/v1/jobs', bearer({ key }), VIDEO), 401, 'unauthenticated');
    expectProblem(await call('DELETE', `${path}/${id}`, ADMIN), 404, 'not_found');
    expect((await call('GET', `${path}?limit=100`, ADMIN)).text).not.toContain(id);
  });

  it("should not be revoked under another tenant's path", async () => {
    const other = await createTenant(world.gateway.url, OTHER_TOKEN);
    const { id, key } = await newKey();
    expectProblem(await call('DELETE', `/v1/tenants/${other.id}/api-keys/${id}`, ADMIN), 404, 'not_found');
    expect((await call('GET', '/v1/jobs', bearer({ key }))).status).toBe(200);
  });

  it('should get 403 while their tenant is suspended, and work again afterwards', async () => {
    const tenant = await createTenant(world.gateway.url, OTHER_TOKEN);
    const path = `/v1/tenants/${tenant.id}`;
    await request(world.gateway.url).patch(path).set(ADMIN).send({ status: 'suspended' }).expect(200);
    for (const [method, route, , body] of TENANT_ROUTES)
      await expectRefused(world, () => call(method, route, bearer(tenant), body), 403, 'forbidden');
    await request(world.gateway.url).patch(path).set(ADMIN).send({ status: 'active' }).expect(200);
    expect((await call('GET', '/v1/jobs', bearer(tenant))).status).toBe(200);
  });
});

describe('keys on two replicas', () => {
  const database = useDatabase();

  it('should stop on both when one of them revokes', async () => {
    const simulator = await startSimulator({ tokens: [TOKEN] });
    const replicas = await Promise.all([0, 1].map(() => startGateway(database.url(), simulator.url)));
    try {
      const [here, there] = replicas.map(({ url }) => url) as [string, string];
      const tenant = await createTenant(here, TOKEN);
      await request(there).get('/v1/jobs').set(bearer(tenant)).expect(200);
      const path = `/v1/tenants/${tenant.id}/api-keys`;
      const { body } = await request(here).get(path).set(ADMIN).expect(200);
      const [key] = (body as { data: { id: string }[] }).data;
      await request(here).delete(`${path}/${key?.id}`).set(ADMIN).expect(204);
      await request(here).get('/v1/jobs').set(bearer(tenant)).expect(401);
      await eventually(
        async () => (await request(there).get('/v1/jobs').set(bearer(tenant))).status,
        (status) => status === 401,
        5_000,
      );
    } finally {
      await Promise.all(replicas.map((gateway) => gateway.close()));
      await simulator.close();
    }
  });
});
