import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createTenant, ENCRYPTION_KEYS as OLD_KEYS, startGateway } from '../../support/gateway.js';
import { bearer, OTHER_TOKEN, useWorld, VIDEO } from '../../support/world.js';

describe('keys of the encryption', () => {
  const world = useWorld();
  const key = () => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64');
  const database = async () => {
    const [row] = await world.sql<{ name: string }>('select current_database() as name');
    const url = new URL(process.env.TEST_SERVER_URL ?? '');
    url.pathname = `/${row?.name}`;
    return url.href;
  };
  const start = async (ENCRYPTION_KEYS: string) =>
    startGateway(await database(), world.simulator.url, { ENCRYPTION_KEYS });
  const refusal = async (keys: string) => {
    const error: unknown = await start(keys).then(
      async (gateway) => gateway.close().then(() => 'it has started'),
      (reason: unknown) => reason,
    );
    return error instanceof Error ? error.message : String(error);
  };

  it('should stop the start when the key is another one, and name the variable without its value', async () => {
    const wrong = key();
    const message = await refusal(`k1:${wrong}`);
    expect(message).toMatch(/^ENCRYPTION_KEYS\b.*$/);
    expect(message).not.toContain(wrong);
  });

  it('should stop the start when the key that stored secrets need is missing', async () => {
    expect(await refusal(`k2:${key()}`)).toMatch(/^ENCRYPTION_KEYS\b.*$/);
  });

  it('should not be remembered of a start that was refused', async () => {
    // Somebody forgets the old key, and corrects the new one with the second try.
    expect(await refusal(`k9:${key()}`)).toMatch(/^ENCRYPTION_KEYS\b.*k1/);
    expect(await refusal(`k9:${key()},${OLD_KEYS}`)).toBe('it has started');
  });

  it('should be needed as long as headers of an endpoint are under it', async () => {
    const fresh = `k4:${key()}`;
    const made = await start(`${fresh},${OLD_KEYS}`);
    const settings = { url: 'https://hooks.example.com/all', headers: { 'X-Environment': 'production' } };
    const { body } = await request(made.url).post('/v1/webhook-endpoints').set(world.auth).send(settings).expect(201);
    await made.close();
    const path = `/v1/webhook-endpoints/${(body as { id: string }).id}`;
    const rotating = await start(`${OLD_KEYS},${fresh}`);
    // The second removes what the first has let expire.
    for (let rotation = 0; rotation < 2; rotation += 1) {
      const rotate = request(rotating.url).post(`${path}/rotate-secret`).set(world.auth);
      await rotate.send({ overlap_seconds: 0 }).expect(200);
    }
    expect(await world.sql(`select 1 from webhook_secrets where ciphertext like 'v1.k4.%'`)).toEqual([]);
    await request(rotating.url).patch(path).set(world.auth).send({ description: 'renders' }).expect(200);
    expect(await refusal(OLD_KEYS)).toMatch(/^ENCRYPTION_KEYS lacks the key "k4"/);
    await request(rotating.url).patch(path).set(world.auth).send({ headers: settings.headers }).expect(200);
    await rotating.close();
    expect(await refusal(OLD_KEYS)).toBe('it has started');
  });

  it('should rotate: the new one encrypts, the old one still opens, until nothing needs it', async () => {
    const fresh = `k3:${key()}`;
    const gateway = await start(`${fresh},${OLD_KEYS}`);
    try {
      await request(gateway.url).post('/v1/jobs').set(world.auth).send(VIDEO).expect(201);
      const { body } = await request(world.gateway.url).get('/v1/webhook-secret').set(world.auth).expect(200);
      const again = await request(gateway.url).get('/v1/webhook-secret').set(world.auth).expect(200);
      expect(again.body).toEqual(body);
      const tenant = await createTenant(gateway.url, OTHER_TOKEN);
      const [row] = await world.sql<{ c: string }>('select token_ciphertext as c from tenants where id = $1', [
        tenant.id,
      ]);
      expect(row?.c).toMatch(/^v1\.k3\./);
      await request(gateway.url).post('/v1/jobs').set(bearer(tenant)).send(VIDEO).expect(201);
    } finally {
      await gateway.close();
    }
    expect(await refusal(fresh)).toMatch(/^ENCRYPTION_KEYS\b.*k1/);
  });
});
