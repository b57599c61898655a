import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { Webhook } from 'standardwebhooks';
import { WebhookSecretsStore } from '../../../src/modules/webhooks/webhook-secrets.store.js';
import type { ReceivedWebhook } from '../../support/receiver.js';
import { eventually } from '../../support/gateway.js';
import { untilBlocked, whileHeld } from '../../support/locks.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

const stage = useStage({ simulator: { queueMs: 3_600_000 } });

async function secretOf(team: Team): Promise<string> {
  const { status, body } = await stage.get(team, '/v1/webhook-secret');
  expect(status).toBe(200);
  return (body as { secret: string }).secret;
}

async function rotate(team: Team, body?: object): Promise<string> {
  const rotated = await request(stage.gateway.url).post('/v1/webhook-secret/rotate').set(team.auth).send(body);
  expect(rotated.status).toBe(200);
  return (rotated.body as { secret: string }).secret;
}

async function webhook(team: Team): Promise<ReceivedWebhook> {
  const id = idOf(await stage.video(team, stage.callback));
  const [first] = await eventually(
    () => stage.receiver.received.filter(({ json }) => json.data.id === id),
    (received) => received.length > 0,
  );
  if (!first) throw new Error('no webhook');
  return first;
}

/** Runs it on a machine whose wall clock is behind. */
async function withClockBehind<T>(byMs: number, run: () => Promise<T>): Promise<T> {
  const Clock = Date;
  globalThis.Date = class extends Clock {
    constructor(given: number | string | Date = Clock.now() - byMs) {
      super(given);
    }

    static override now(): number {
      return Clock.now() - byMs;
    }
  } as DateConstructor;
  try {
    return await run();
  } finally {
    globalThis.Date = Clock;
  }
}

function verifies(secret: string, { body, headers }: ReceivedWebhook): boolean {
  try {
    new Webhook(secret).verify(body, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

describe("the secret of a tenant's callbacks", () => {
  it('should stay the same from one read to the next, and be another for another tenant', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const secret = await secretOf(team);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(await secretOf(team)).toBe(secret);
    expect(await secretOf(other)).not.toBe(secret);
  });

  it('should be one, though it is first asked for by many at once', async () => {
    const team = await stage.team();
    const secrets = await Promise.all(Array.from({ length: 10 }, () => secretOf(team)));
    expect(new Set(secrets).size).toBe(1);
  });

  it('should sign along for the overlap after it was rotated', async () => {
    const team = await stage.team();
    const old = await secretOf(team);
    const fresh = await rotate(team, { overlap_seconds: 60 });
    expect(fresh).not.toBe(old);
    expect(await secretOf(team)).toBe(fresh);
    const received = await webhook(team);
    expect(String(received.headers['webhook-signature']).split(' ')).toHaveLength(2);
    expect([verifies(fresh, received), verifies(old, received)]).toEqual([true, true]);

    await stage.sql(`update webhook_secrets set expires_at = now() where expires_at is not null and tenant_id = $1`, [
      team.id,
    ]);
    await eventually(
      () => webhook(team),
      (later) => verifies(fresh, later) && !verifies(old, later),
    );
  });

  it('should sign along by default, and not at all with no overlap', async () => {
    const team = await stage.team();
    const [first, second, third] = [
      await secretOf(team),
      await rotate(team),
      await rotate(team, { overlap_seconds: 0 }),
    ];
    const received = await webhook(team);
    expect([first, second, third].map((secret) => verifies(secret, received))).toEqual([true, false, true]);
  });

  it('should be one current secret after two rotations at once', async () => {
    const team = await stage.team();
    await secretOf(team);
    const rotated = await Promise.all(
      Array.from({ length: 5 }, () =>
        request(stage.gateway.url).post('/v1/webhook-secret/rotate').set(team.auth).send({}),
      ),
    );
    for (const { status } of rotated) expect([200, 503]).toContain(status);
    const current = await secretOf(team);
    expect(rotated.map(({ body }) => (body as { secret?: string }).secret)).toContain(current);
    const rows = await stage.sql('select 1 from webhook_secrets where tenant_id = $1 and expires_at is null', [
      team.id,
    ]);
    expect(rows).toHaveLength(1);
  });

  it('should be the newest one, though the clock of the replica that rotates is behind (invariant 9)', async () => {
    const team = await stage.team();
    const rotated = [await secretOf(team)];
    for (let i = 0; i < 10; i += 1) rotated.push(await rotate(team));
    // Of created_at, since the secrets that the first ten replaced are kept by it: these came from a clock that is ahead.
    await stage.sql(`update webhook_secrets set created_at = created_at + interval '10 minutes' where tenant_id = $1`, [
      team.id,
    ]);
    const fresh = await rotate(team);
    expect(await secretOf(team)).toBe(fresh);
    const [first, second, ...newest] = rotated;
    const received = await webhook(team);
    expect([first, second].map((secret) => verifies(secret!, received))).toEqual([false, false]);
    expect([...newest, fresh].map((secret) => verifies(secret, received))).toEqual(Array(10).fill(true));
  });

  it('should be dated by the database, whatever the clock of the replica says (invariant 9)', async () => {
    const team = await stage.team();
    await withClockBehind(600_000, () => rotate(team));
    const rows = await stage.sql(
      `select created_at > now() - interval '5 minutes' as now from webhook_secrets where tenant_id = $1 and expires_at is null`,
      [team.id],
    );
    expect(rows).toEqual([{ now: true }]);
  });

  it('should not be made for a tenant that is deleted meanwhile', async () => {
    const team = await stage.team();
    const secrets = stage.gateway.app.get(WebhookSecretsStore, { strict: false });
    await whileHeld(stage.pool, 'select 1 from tenants where id = $1 for update', [team.id], async (session) => {
      const found = secrets.findSigning({ tenantId: team.id, endpointId: null });
      await untilBlocked(stage);
      await session.query('update tenants set deleted_at = now() where id = $1', [team.id]);
      await session.query('commit');
      expect(await found).toEqual([]);
    });
    expect(await stage.sql('select 1 from webhook_secrets where tenant_id = $1', [team.id])).toEqual([]);
  });

  it('should not be stored or logged in the clear', async () => {
    const team = await stage.team();
    const secret = await secretOf(team);
    const rows = await stage.sql('select * from webhook_secrets where tenant_id = $1', [team.id]);
    expect(JSON.stringify(rows)).not.toContain(secret.slice(6));
    expect(stage.gateway.logs()).not.toContain(secret.slice(6));
  });

  it.each([-1, 'a', 2_592_001, 1.5])('should not be rotated with an overlap of %p', async (overlap_seconds) => {
    const team = await stage.team();
    const before = await secretOf(team);
    const refused = await request(stage.gateway.url)
      .post('/v1/webhook-secret/rotate')
      .set(team.auth)
      .send({ overlap_seconds });
    expect(refused.status).toBe(400);
    expect(Object.keys(refused.body.errors as object)).toEqual(['overlap_seconds']);
    expect(await secretOf(team)).toBe(before);
  });
});
