import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant, eventually } from '../../support/gateway.js';
import {
  ADMIN,
  bearer,
  expectProblem,
  expectRefused,
  OTHER_TOKEN,
  TOKEN,
  useWorld,
  VIDEO,
  type Answer,
} from '../../support/world.js';
import { untilLooksEnded } from './looks-ended.js';

describe('tenants', () => {
  const world = useWorld({}, { queueMs: 600_000 });
  const http = () => request(world.gateway.url);
  const create = (body: object, query = '') =>
    http()
      .post(`/v1/tenants${query}`)
      .set(ADMIN)
      .send({ name: 'team', tensorpix_token: TOKEN, ...body });
  const waitingForLocks = async () => {
    const [row] = await world.sql<{ count: number }>(
      `select count(*)::int as count from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()`,
    );
    return row?.count ?? 0;
  };
  const patch = (id: string, body: object) => http().patch(`/v1/tenants/${id}`).set(ADMIN).send(body);

  it('should be created, read, renamed and listed newest first, without their token', async () => {
    const limits = { max_active_jobs: 5, requests_per_minute: null, monthly_credits: '10.5' };
    const { body: tenant } = await create({ name: 'é team', limits, callback_allowed_hosts: ['*.example.com'] }).expect(
      201,
    );
    expect(tenant).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      object: 'tenant',
      name: 'é team',
      status: 'active',
      tensorpix_token: { last4: TOKEN.slice(-4), status: 'valid' },
      limits: { max_active_jobs: 5, requests_per_minute: null, monthly_credits: '10.5000' },
      callback_allowed_hosts: ['*.example.com'],
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      updated_at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    const { id } = tenant as { id: string };
    expect((await http().get(`/v1/tenants/${id}`).set(ADMIN).expect(200)).body).toEqual(tenant);
    const { body: list } = await http().get('/v1/tenants?limit=1').set(ADMIN).expect(200);
    expect(list).toMatchObject({ data: [tenant], next_cursor: expect.any(String) });
    const { body: changed } = await patch(id, {
      name: 'new',
      limits: { max_active_jobs: null, monthly_credits: 3 },
    }).expect(200);
    expect(changed).toMatchObject({
      name: 'new',
      limits: { max_active_jobs: null, requests_per_minute: null, monthly_credits: '3.0000' },
      callback_allowed_hosts: ['*.example.com'],
    });
    expect(JSON.stringify([tenant, list, changed])).not.toContain(TOKEN);
  });

  it.each([
    [{ name: undefined }, 'name'],
    [{ name: '' }, 'name'],
    [{ name: null }, 'name'],
    [{ name: 'a'.repeat(201) }, 'name'],
    [{ name: 'a\u0000b' }, 'name'],
    [{ name: 5 }, 'name'],
    [{ tensorpix_token: undefined }, 'tensorpix_token'],
    [{ tensorpix_token: '' }, 'tensorpix_token'],
    [{ tensorpix_token: null }, 'tensorpix_token'],
    [{ tensorpix_token: 'a b' }, 'tensorpix_token'],
    [{ tensorpix_token: 'a\r\nX-Evil: 1' }, 'tensorpix_token'],
    [{ tensorpix_token: 'tökén' }, 'tensorpix_token'],
    [{ tensorpix_token: 'a'.repeat(257) }, 'tensorpix_token'],
    [{ limits: [] }, 'limits'],
    [{ limits: 'none' }, 'limits'],
    [{ limits: { max_active_jobs: -1 } }, 'limits.max_active_jobs'],
    [{ limits: { max_active_jobs: 1.5 } }, 'limits.max_active_jobs'],
    [{ limits: { max_active_jobs: '5' } }, 'limits.max_active_jobs'],
    [{ limits: { requests_per_minute: 2 ** 31 } }, 'limits.requests_per_minute'],
    [{ limits: { monthly_credits: -0.5 } }, 'limits.monthly_credits'],
    [{ limits: { monthly_credits: '1.23456' } }, 'limits.monthly_credits'],
    [{ limits: { monthly_credits: '1e3' } }, 'limits.monthly_credits'],
    [{ limits: { monthly_credits: '99999999999' } }, 'limits.monthly_credits'],
    [{ limits: { monthly_credits: 'NaN' } }, 'limits.monthly_credits'],
    [{ limits: { unknown: 1 } }, 'limits.unknown'],
    [{ callback_allowed_hosts: 'a.example' }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['https://a.example'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['*'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['a.example:443'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['10.0.0.0/8'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['[::1'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['[::1]:443'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['[a.example]'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['[127.0.0.1]'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['*.[::1]'] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: [null] }, 'callback_allowed_hosts'],
    [{ callback_allowed_hosts: ['a.example', 'a.example'] }, 'callback_allowed_hosts'],
    [{ status: 'suspended' }, 'status'],
    [{ id: '1' }, 'id'],
  ])('should not be created from %j', async (body, field) => {
    const problem = await expectRefused(world, () => create(body), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual([field]);
    if (field === 'status' || 'id' in body || ('name' in body && body.name === undefined)) return;
    if ('tensorpix_token' in body && body.tensorpix_token === undefined) return;
    await expectRefused(world, () => patch(world.tenant.id, body), 400, 'validation_failed');
  });

  it('should be created with any host that a callback_url may have', async () => {
    const callback_allowed_hosts = [
      '[2606:4700:4700::1111]',
      '[2606:4700:4700:0::1001]',
      'hooks_1.example.com',
      '*._a.example.com',
    ];
    const { body } = await create({ callback_allowed_hosts }).expect(201);
    expect(body).toMatchObject({ callback_allowed_hosts });
  });

  it.each(['verify=no', 'verify=', 'verify=true&verify=false', 'unknown=1'])(
    'should not be created with ?%s',
    async (query) => {
      await expectRefused(world, () => create({}, `?${query}`), 400, 'validation_failed');
    },
  );

  it.each([
    { status: 'deleted' },
    { status: null },
    { status: 'ACTIVE' },
    { accountId: 'x' },
    { tensorpix_token: null },
  ])('should not be changed by %j', async (body) => {
    const before = (await http().get(`/v1/tenants/${world.tenant.id}`).set(ADMIN)).body;
    await expectRefused(world, () => patch(world.tenant.id, body), 400, 'validation_failed');
    expect((await http().get(`/v1/tenants/${world.tenant.id}`).set(ADMIN)).body).toEqual(before);
  });

  it('should send nothing new while suspended, and follow what runs', async () => {
    const tenant = await createTenant(world.gateway.url, OTHER_TOKEN);
    const auth = bearer(tenant);
    const running = await http().post('/v1/jobs').set(auth).send(VIDEO).expect(201);
    world.simulator.control.addFault({
      match: { path: '/api/jobs/from-url/' },
      times: 1,
      fault: { kind: 'rate_limited', retry_after_s: 60 },
    });
    const parked = await http().post('/v1/jobs').set(auth).send(VIDEO).expect(202);
    expect(parked.body.status_reason).toBe('rate_limited');
    await patch(tenant.id, { status: 'suspended' }).expect(200);
    const creates = () =>
      world.simulator.control
        .requests()
        .filter(({ method, path }) => method === 'POST' && path === '/api/jobs/from-url/').length;
    const before = creates();
    // The rest is over, and what was parked is due.
    await world.sql('update tenant_paces set rest_until = now() where tenant_id = $1', [tenant.id]);
    await world.sql('update jobs set due_at = now() where id = $1 and due_at is not null', [parked.body.id]);
    world.simulator.control.changeJob(Number(running.body.tensorpix_id), { status: -1 });
    const status = async (id: unknown) =>
      (await world.sql<{ status: string }>('select status from jobs where id = $1', [id]))[0]?.status;
    await eventually(
      () => status(running.body.id),
      (value) => value === 'failed',
    );
    await eventually(
      async () =>
        (
          await world.sql<{ past: boolean }>(
            "select rest_until < now() - interval '2 seconds' as past from tenant_paces where tenant_id = $1",
            [tenant.id],
          )
        )[0],
      (row) => row?.past === true,
    );
    expect({ creates: creates(), status: await status(parked.body.id) }).toEqual({
      creates: before,
      status: 'submitting',
    });
    await patch(tenant.id, { status: 'active' }).expect(200);
    await eventually(
      () => status(parked.body.id),
      (value) => value === 'queued',
    );
    expect(creates()).toBe(before + 1);
  });

  it('should not be deleted while a job is under way, and be gone afterwards', async () => {
    const tenant = await createTenant(world.gateway.url, OTHER_TOKEN);
    const path = `/v1/tenants/${tenant.id}`;
    await http().get('/v1/webhook-secret').set(bearer(tenant)).expect(200);
    const { body: job } = await http().post('/v1/jobs').set(bearer(tenant)).send(VIDEO).expect(201);
    expectProblem(await http().delete(path).set(ADMIN), 409, 'invalid_state');
    await http().get('/v1/jobs').set(bearer(tenant)).expect(200);
    await http()
      .post(`/v1/jobs/${String(job.id)}/cancel`)
      .set(bearer(tenant))
      .expect(200);
    await http().delete(path).set(ADMIN).expect(204);
    await untilLooksEnded(world);
    await expectRefused(world, () => http().post('/v1/jobs').set(bearer(tenant)).send(VIDEO), 401, 'unauthenticated');
    for (const answer of [
      await http().get(path).set(ADMIN),
      await http().patch(path).set(ADMIN).send({ name: 'b' }),
      await http().delete(path).set(ADMIN),
      await http().get(`${path}/api-keys`).set(ADMIN),
      await http().post(`${path}/api-keys`).set(ADMIN).send({ name: 'k' }),
    ])
      expectProblem(answer, 404, 'not_found');
    expect((await http().get('/v1/tenants?limit=100').set(ADMIN)).text).not.toContain(tenant.id);
    const [left] = await world.sql(
      `select token_ciphertext, token_last4, (select count(*)::int from webhook_secrets s where s.tenant_id = t.id) as secrets,
              (select count(*)::int from api_keys k where k.tenant_id = t.id and revoked_at is null) as keys
         from tenants t where id = $1`,
      [tenant.id],
    );
    expect(left).toEqual({ token_ciphertext: null, token_last4: '', secrets: 0, keys: 0 });
  });

  it('should not get a job that was asked for in the moment of the deletion', async () => {
    const tenant = await createTenant(world.gateway.url, OTHER_TOKEN);
    await http().get('/v1/jobs').set(bearer(tenant)).expect(200);
    const before = await world.effects();
    let pending: Promise<Answer> | undefined;
    // The statements of a deletion, held open until the create waits for them.
    await world.transaction(async (run) => {
      await run('select id from tenants where id = $1 for update', [tenant.id]);
      await run("update tenants set deleted_at = now(), status = 'suspended', token_ciphertext = null where id = $1", [
        tenant.id,
      ]);
      pending = http()
        .post('/v1/jobs')
        .set(bearer(tenant))
        .send(VIDEO)
        .then((answer) => answer);
      await eventually(waitingForLocks, (count) => count > 0);
    });
    expect([401, 403, 404]).toContain((await pending)?.status);
    expect(await world.effects()).toEqual(before);
  });
});
