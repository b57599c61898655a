import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { ADMIN, expectRefused, useWorld, VIDEO } from '../../support/world.js';

const world = useWorld();
const http = () => request(world.gateway.url);

describe('a query parameter of a route that takes none', () => {
  it.each<[string, () => request.Test]>([
    ['a create', () => http().post('/v1/jobs?preview=true').set(world.auth).send(VIDEO)],
    ['a rotation', () => http().post('/v1/webhook-secret/rotate?preview=true').set(world.auth)],
    ['a single job', () => http().get('/v1/jobs/01900000-0000-7000-8000-000000000000?preview=true').set(world.auth)],
    ['a secret', () => http().get('/v1/webhook-secret?preview=true').set(world.auth)],
    ['a tenant', () => http().get(`/v1/tenants/${world.tenant.id}?preview=true`).set(ADMIN)],
  ])('should be refused by its name, and nothing be done: %s', async (_, send) => {
    const { errors } = await expectRefused(world, send, 400, 'validation_failed');
    expect(errors).toEqual({ preview: ['is not a known field'] });
  });

  it('should not be told to who has no key', async () => {
    await expectRefused(world, () => http().get('/v1/webhook-secret?preview=true'), 401, 'unauthenticated');
  });

  it('should not keep probes and scrapers out', async () => {
    for (const path of ['/health/live', '/health/ready', '/metrics', '/openapi.json'])
      expect((await http().get(`${path}?x=1`)).status).toBe(200);
  });
});
