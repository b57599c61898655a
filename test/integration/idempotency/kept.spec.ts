import { describe, expect, it } from '@jest/globals';
import { JobsSweeper } from '../../../src/modules/jobs/jobs.sweeper.js';
import { idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** No loop runs: these tests tick. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' }, simulator: { queueMs: 600_000 } });

function sweep(): Promise<boolean> {
  return stage.gateway.app.get(JobsSweeper, { strict: false }).tick();
}

async function age(team: Team, hours: number): Promise<void> {
  await stage.sql(
    `update idempotency_keys set created_at = now() - $2::float8 * interval '1 hour' where tenant_id = $1`,
    [team.id, hours],
  );
}

async function keysOf(team: Team) {
  return stage.sql<{ key: string }>('select key from idempotency_keys where tenant_id = $1 order by key', [team.id]);
}

async function create(team: Team, key: string, video_url = sourceUrl()) {
  return stage.video(team, { video_url }, { 'idempotency-key': key });
}

describe('how long a key is kept', () => {
  it('should be 24 hours at least', async () => {
    const team = await stage.team();
    const url = sourceUrl();
    const first = await create(team, 'kept', url);
    await age(team, 24.5);
    expect(await sweep()).toBe(false);
    const again = await create(team, 'kept', url);
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });

  it('should end, so that the key can be used anew, for any request', async () => {
    const team = await stage.team();
    const first = await create(team, 'old');
    await age(team, 26);
    await sweep();
    expect(await keysOf(team)).toEqual([]);
    const second = await create(team, 'old');
    expect([second.status, second.headers['idempotency-replayed']]).toEqual([201, undefined]);
    expect(idOf(second)).not.toBe(idOf(first));
    expect((await stage.row(idOf(first))).status).toBe('queued');
    expect((await keysOf(team)).map(({ key }) => key)).toEqual(['old']);
  });

  it('should not end while its request is being answered', async () => {
    const team = await stage.team();
    await create(team, 'locked');
    await age(team, 26);
    await stage.sql(
      `update idempotency_keys set locked_until = now() + interval '1 minute', answer_status = null, answer_body = null
        where tenant_id = $1`,
      [team.id],
    );
    await sweep();
    expect(await keysOf(team)).toHaveLength(1);
    await stage.sql(`update idempotency_keys set locked_until = now() - interval '1 second' where tenant_id = $1`, [
      team.id,
    ]);
    await sweep();
    expect(await keysOf(team)).toEqual([]);
  });

  it('should be swept in bounded batches, oldest first, and nothing else with it', async () => {
    const team = await stage.team();
    const young = await create(team, 'young');
    await stage.sql(
      `with job as (
         insert into jobs (id, tenant_id, account_id, kind, status, input, callback_events, finished_at)
         select gen_random_uuid(), t.id, t.account_id, 'video', 'finished', '{}', '{}', now()
           from tenants t, generate_series(1, 2500) where t.id = $1
         returning id, tenant_id)
       insert into idempotency_keys (tenant_id, kind, key, fingerprint, job_id, created_at)
       select tenant_id, 'video', 'old-' || row_number() over (), '\\x00', id,
              now() - interval '30 hours' - row_number() over () * interval '1 second' from job`,
      [team.id],
    );
    expect([await sweep(), (await keysOf(team)).length]).toEqual([true, 1_501]);
    const [oldest] = await stage.sql<{ age: number }>(
      `select max(substring(key from 5)::int) as age from idempotency_keys where tenant_id = $1 and key like 'old-%'`,
      [team.id],
    );
    expect(oldest).toEqual({ age: 1_500 });
    // Two replicas at once take different ones.
    await Promise.all([sweep(), sweep()]);
    while (await sweep());
    expect(await sweep()).toBe(false);
    expect((await keysOf(team)).map(({ key }) => key)).toEqual(['young']);
    expect((await create(team, 'young')).status).toBe(422);
    expect(await stage.rowsOf(team)).toHaveLength(2_501);
    expect((await stage.row(idOf(young))).status).toBe('queued');
  });
});

describe('the table of keys', () => {
  const insert = `insert into idempotency_keys (tenant_id, kind, key, fingerprint, job_id, answer_status, answer_body)
    values ($1, $2, $3, '\\x00', $4, $5, $6)`;

  it('should not take a key without its job, or with the job of another tenant', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const theirs = idOf(await stage.video(other));
    const values = (job: string) => [team.id, 'video', 'x', job, null, null];
    await expect(stage.sql(insert, values('01935000-0000-7000-8000-000000000001'))).rejects.toMatchObject({
      code: '23503',
    });
    await expect(stage.sql(insert, values(theirs))).rejects.toMatchObject({ code: '23503' });
  });

  it('should have one key a job, one job a key, and answers that are whole', async () => {
    const team = await stage.team();
    const id = idOf(await create(team, 'one'));
    const other = idOf(await stage.video(team));
    await expect(stage.sql(insert, [team.id, 'video', 'two', id, null, null])).rejects.toMatchObject({ code: '23505' });
    await expect(stage.sql(insert, [team.id, 'video', 'one', other, null, null])).rejects.toMatchObject({
      code: '23505',
    });
    await expect(stage.sql(insert, [team.id, 'video', 'x', other, 201, null])).rejects.toMatchObject({ code: '23514' });
    await expect(stage.sql(insert, [team.id, 'sound', 'x', other, null, null])).rejects.toMatchObject({
      code: '23514',
    });
  });

  it('should lose a key with its job', async () => {
    const team = await stage.team();
    const id = idOf(await create(team, 'gone'));
    await stage.sql('delete from jobs where id = $1', [id]);
    expect(await keysOf(team)).toEqual([]);
  });

  it('should have a job for every key and no key of a create that left no row', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$', token: team.token } });
    const url = sourceUrl();
    stage.fault(team, 'server_error', { times: 1 });
    expect((await stage.video(team, { video_url: url })).body.status).toBe('unconfirmed');
    const strict = { 'idempotency-key': 'refused', prefer: 'handling=strict' };
    expect((await stage.video(team, { video_url: url }, strict)).status).toBe(503);
    expect(await keysOf(team)).toEqual([]);
    expect(await stage.rowsOf(team)).toHaveLength(1);
  });
});
