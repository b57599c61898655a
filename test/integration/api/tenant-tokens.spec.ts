import { afterEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant, eventually } from '../../support/gateway.js';
import { startReceiver } from '../../support/receiver.js';
import { untilBlocked } from '../../support/locks.js';
import {
  ADMIN,
  bearer,
  expectProblem,
  expectRefused,
  OTHER_TOKEN,
  TOKEN,
  useWorld,
  VIDEO,
} from '../../support/world.js';

const SECOND_TOKEN = 'tpx-second-token-of-the-first-team-55555';
const BALANCE = '/api/accounts/profile/balance/';

describe("a tenant's TensorPix token", () => {
  const world = useWorld({}, { queueMs: 600_000 });
  const http = () => request(world.gateway.url);
  const create = (query = '', token = TOKEN) =>
    http().post(`/v1/tenants${query}`).set(ADMIN).send({ name: 'team', tensorpix_token: token });
  const patch = (id: string, body: object) => http().patch(`/v1/tenants/${id}`).set(ADMIN).send(body);
  const balances = () => world.simulator.control.requests().filter(({ path }) => path === BALANCE).length;
  const tenantRows = async () => (await world.effects()).tenants;

  afterEach(() => world.simulator.control.clearFaults());

  it('should be looked at with one call of the balance, and be valid', async () => {
    const before = balances();
    const { body } = await create().expect(201);
    expect(body.tensorpix_token).toEqual({ last4: TOKEN.slice(-4), status: 'valid' });
    expect(balances()).toBe(before + 1);
  });

  it.each(['unauthorized', 'forbidden'] as const)('should be refused when TensorPix says %s', async (fault) => {
    world.simulator.control.addFault({ match: { path: BALANCE }, fault });
    const rows = await tenantRows();
    const problem = expectProblem(await create(), 400, 'validation_failed');
    expect(Object.keys(problem.errors)).toEqual(['tensorpix_token']);
    expect(JSON.stringify(problem)).not.toContain(TOKEN);
    expect(await tenantRows()).toBe(rows);
    const changed = expectProblem(
      await patch(world.tenant.id, { tensorpix_token: OTHER_TOKEN }),
      400,
      'validation_failed',
    );
    expect(Object.keys(changed.errors)).toEqual(['tensorpix_token']);
  });

  it('should be refused when TensorPix does not know it', async () => {
    expectProblem(await create('', 'a-token-nobody-knows-1234'), 400, 'validation_failed');
  });

  it.each(['server_error', 'bad_gateway', 'no_answer', 'reset', 'garbage', 'rate_limited'] as const)(
    'should be unknown when TensorPix answers with %s',
    async (kind) => {
      world.simulator.control.addFault({ match: { path: BALANCE }, fault: { kind } });
      const { body } = await create().expect(201);
      expect(body.tensorpix_token.status).toBe('unknown');
    },
  );

  it('should not be looked at with verify=false', async () => {
    const before = balances();
    const { body } = await create('?verify=false', 'never-asked-token-777').expect(201);
    expect(body.tensorpix_token).toEqual({ last4: '-777', status: 'unknown' });
    expect(balances()).toBe(before);
  });

  it('should show nothing of a token that is too short to hide the rest', async () => {
    const { body } = await create('?verify=false', 'abcd').expect(201);
    expect(body.tensorpix_token.last4).not.toBe('abcd');
  });

  it('should be replaced while jobs are under way by one of the same account only', async () => {
    world.simulator.control.changeAccount({ token: SECOND_TOKEN, same_account_as: TOKEN });
    const tenant = await createTenant(world.gateway.url, TOKEN);
    const { body: job } = await http().post('/v1/jobs').set(bearer(tenant)).send(VIDEO).expect(201);
    const refused = await patch(tenant.id, { tensorpix_token: OTHER_TOKEN, name: 'changed' });
    expectProblem(refused, 409, 'invalid_state');
    const { body: unchanged } = await http().get(`/v1/tenants/${tenant.id}`).set(ADMIN).expect(200);
    expect(unchanged).toMatchObject({ name: 'team', tensorpix_token: { last4: TOKEN.slice(-4) } });
    const { body: changed } = await patch(tenant.id, { tensorpix_token: SECOND_TOKEN }).expect(200);
    expect(changed.tensorpix_token).toEqual({ last4: SECOND_TOKEN.slice(-4), status: 'valid' });
    const [account] = await world.sql(
      'select t.account_id = j.account_id as same from tenants t join jobs j on j.tenant_id = t.id where j.id = $1',
      [job.id],
    );
    expect(account).toEqual({ same: true });
    await http()
      .post(`/v1/jobs/${String(job.id)}/cancel`)
      .set(bearer(tenant))
      .expect(200);
    const cancels = world.simulator.control.requests().filter(({ method }) => method === 'DELETE');
    expect(cancels.at(-1)?.tokenSuffix).toBe(SECOND_TOKEN.slice(-4));
    await patch(tenant.id, { tensorpix_token: OTHER_TOKEN }).expect(200);
  });

  it('should not be replaced when TensorPix cannot tell whose the jobs under way are', async () => {
    const third = 'tpx-third-token-of-the-first-team-66666';
    world.simulator.control.changeAccount({ token: third, same_account_as: TOKEN });
    const tenant = await createTenant(world.gateway.url, TOKEN);
    const { body: job } = await http().post('/v1/jobs').set(bearer(tenant)).send(VIDEO).expect(201);
    world.simulator.control.addFault({ match: { token: third, path: '/api/jobs/' }, fault: 'server_error' });
    const answer = await patch(tenant.id, { tensorpix_token: third });
    expect(answer.status).toBeGreaterThanOrEqual(409);
    expectProblem(answer, answer.status);
    await http()
      .post(`/v1/jobs/${String(job.id)}/cancel`)
      .set(bearer(tenant))
      .expect(200);
  });

  it('should be encrypted at rest, each time differently', async () => {
    await create('?verify=false').expect(201);
    const rows = await world.sql<{ all: string; token_ciphertext: string }>(
      'select to_jsonb(t)::text as all, token_ciphertext from tenants t',
    );
    expect(rows.length).toBeGreaterThan(1);
    for (const row of rows) {
      expect(row.all).not.toContain(TOKEN);
      expect(row.all).not.toContain(Buffer.from(TOKEN).toString('base64url').slice(0, 40));
      expect(row.token_ciphertext ?? '').toMatch(/^v1\.k1\.|^$/);
    }
    const ciphertexts = rows.map((row) => row.token_ciphertext);
    expect(new Set(ciphertexts).size).toBe(ciphertexts.length);
  });

  it("should not open when its ciphertext stands in another tenant's row", async () => {
    const [one, two] = [
      await createTenant(world.gateway.url, TOKEN),
      await createTenant(world.gateway.url, OTHER_TOKEN),
    ];
    await world.sql(
      `update tenants t set token_ciphertext = o.token_ciphertext from tenants o
        where (t.id, o.id) in (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))`,
      [one.id, two.id],
    );
    for (const tenant of [one, two]) {
      const problem = await expectRefused(world, () => http().post('/v1/jobs').set(bearer(tenant)).send(VIDEO), 500);
      expect(JSON.stringify(problem)).not.toContain('v1.k1');
    }
  });

  it("should not be opened from the row of a tenant's webhook secret, nor the other way round", async () => {
    const tenant = await createTenant(world.gateway.url, TOKEN);
    await http().get('/v1/webhook-secret').set(bearer(tenant)).expect(200);
    await world.sql(
      'update webhook_secrets s set ciphertext = t.token_ciphertext from tenants t where t.id = s.tenant_id and t.id = $1',
      [tenant.id],
    );
    const answer = await http().get('/v1/webhook-secret').set(bearer(tenant));
    expectProblem(answer, 500);
    expect(answer.text).not.toContain(TOKEN);
  });

  it('should be rotated by several at once without an error, and one current secret be left', async () => {
    const tenant = await createTenant(world.gateway.url, TOKEN);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => http().post('/v1/webhook-secret/rotate').set(bearer(tenant)).send({})),
    );
    const [row] = await world.sql(
      'select count(*)::int as n from webhook_secrets where tenant_id = $1 and expires_at is null',
      [tenant.id],
    );
    expect({ statuses: answers.map(({ status }) => status), current: row }).toEqual({
      statuses: [200, 200, 200, 200, 200],
      current: { n: 1 },
    });
  });
});

describe('a deleted tenant', () => {
  const world = useWorld({ CALLBACK_RETRY_SCHEDULE_MS: '1000,1000,1000,1000,1000,1000' });

  it('should not get a new secret from callbacks that are still tried', async () => {
    const receiver = await startReceiver();
    receiver.answer((_, response) => void response.writeHead(500).end());
    try {
      const auth = bearer(world.tenant);
      const body = { ...VIDEO, callback_url: receiver.url };
      const { body: job } = await request(world.gateway.url).post('/v1/jobs').set(auth).send(body).expect(201);
      await request(world.gateway.url)
        .post(`/v1/jobs/${String(job.id)}/cancel`)
        .set(auth)
        .expect(200);
      await eventually(
        () => receiver.received.length,
        (count) => count > 0,
      );
      await request(world.gateway.url).delete(`/v1/tenants/${world.tenant.id}`).set(ADMIN).expect(204);
      const open = () =>
        world.sql<{ n: number }>(
          "select count(*)::int as n from webhook_deliveries where status in ('pending', 'failing')",
        );
      await eventually(open, ([row]) => row?.n === 0);
      expect(await world.sql('select id from webhook_secrets')).toEqual([]);
    } finally {
      await receiver.close();
    }
  });

  it('should not get an endpoint by a request whose key was looked up before', async () => {
    const tenant = await createTenant(world.gateway.url, TOKEN);
    let creating: Promise<request.Response> | undefined;
    await world.transaction(async (sql) => {
      await sql('update tenants set deleted_at = now() where id = $1', [tenant.id]);
      const create = request(world.gateway.url).post('/v1/webhook-endpoints').set(bearer(tenant));
      creating = create.send({ url: 'https://client.example.com/hooks' }).then((answer) => answer);
      await untilBlocked(world);
    });
    expectProblem(await creating!, 401, 'unauthenticated');
    expect(await world.sql('select id from webhook_endpoints where tenant_id = $1', [tenant.id])).toEqual([]);
  });
});
