import { describe, expect, it } from '@jest/globals';
import { CREATE_VIDEO, idOf, useStage } from '../../support/stage.js';

const stage = useStage();

describe('a create that TensorPix throttles', () => {
  it('should be parked as rate_limited and resumed by itself, with its webhooks from then on', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 1 }, { times: 1 });
    const created = await stage.video(team, stage.callback);
    expect(created.status).toBe(202);
    expect(created.body).toMatchObject({ status: 'submitting', status_reason: 'rate_limited', tensorpix_id: null });
    const id = idOf(created);
    expect(created.headers.location).toBe(`/v1/jobs/${id}`);

    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(2);
    expect(await stage.row(id)).toMatchObject({ status: 'finished', attempt: 2, lease_token: null });
    expect((await stage.eventTypes(id)).slice(0, 4)).toEqual([
      'job.submitting',
      'job.parked',
      'job.sending',
      'job.queued',
    ]);
  });

  it('should not be sent again before the time that TensorPix asked for', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 2 }, { times: 1 });
    const id = idOf(await stage.video(team));
    await stage.untilRow(id, ({ status }) => status !== 'submitting');
    const [first, second] = stage.calls(team, 'POST', CREATE_VIDEO);
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(1_900);
  });

  it('should take the time from the text when there is no header', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 600, header: false }, { times: 1 });
    const id = idOf(await stage.video(team));
    const { due_at } = await stage.row(id);
    expect((due_at?.getTime() ?? 0) - Date.now()).toBeGreaterThan(500_000);
  });

  it('should be parked and resumed when TensorPix does not say how long', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: null }, { times: 1 });
    const created = await stage.video(team);
    expect([created.status, created.body.status_reason]).toEqual([202, 'rate_limited']);
    await stage.untilRow(idOf(created), ({ status }) => status === 'finished');
    expect(stage.creates(team)).toBe(2);
  });

  it('should not make the gateway hammer TensorPix when it says Retry-After: 0', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'body', status: 429, headers: { 'retry-after': '0' }, body: { detail: 'Throttled.' } });
    const id = idOf(await stage.video(team));
    const [wait] = await stage.sql<{ ms: number }>(
      `select extract(epoch from (data->>'due_at')::timestamptz - created_at)::float8 * 1000 as ms
         from job_events where job_id = $1 and type = 'job.parked' order by sequence limit 1`,
      [id],
    );
    expect(wait?.ms).toBeGreaterThanOrEqual(500);
  });

  it("should let the tenant's token rest: no other create of the tenant is sent meanwhile, and others' are", async () => {
    const team = await stage.team();
    const other = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 60 }, { times: 1 });
    await stage.video(team);
    const next = await stage.video(team);
    expect([next.status, next.body.status_reason]).toEqual([202, 'rate_limited']);
    const asynchronous = await stage.video(team, {}, { prefer: 'respond-async' });
    expect(asynchronous.status).toBe(202);
    expect((await stage.video(other)).status).toBe(201);
    expect(stage.creates(team)).toBe(1);
  });

  it('should be an error with Retry-After under handling=strict, readable and not repeated', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'rate_limited', retry_after_s: 7 }, { times: 1 });
    const refused = await stage.video(team, stage.callback, { prefer: 'handling=strict' });
    expect(refused.status).toBe(429);
    expect(refused.headers['content-type']).toContain('application/problem+json');
    expect(refused.headers['retry-after']).toBe('7');
    const id = idOf(refused);
    expect(refused.body).toMatchObject({ code: 'rate_limited', job_id: id });
    expect(refused.headers.location).toBe(`/v1/jobs/${id}`);
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'rate_limited' } });
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.status).toBe('failed');
    expect(await stage.deliveries(id)).toEqual([]);
    expect(stage.creates(team)).toBe(1);
  });
});
