import { describe, expect, it } from '@jest/globals';
import type { Fault } from '../../../simulator/faults.js';
import { eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage } from '../../support/stage.js';

const stage = useStage();

const REFUSALS: [string, Fault, number, string][] = [
  ['402', { kind: 'payment_required' }, 402, 'insufficient_credits'],
  ['400 about credits', { kind: 'no_credits_400' }, 402, 'insufficient_credits'],
  ['400 about storage', { kind: 'storage_400' }, 400, 'storage_full'],
  ['401', { kind: 'unauthorized' }, 502, 'upstream_token_rejected'],
  ['403', { kind: 'forbidden' }, 403, 'upstream_forbidden'],
  ['404', { kind: 'body', status: 404, body: { detail: 'Not found.' } }, 502, 'upstream_error'],
  ['415', { kind: 'body', status: 415, body: { detail: 'Unsupported.' } }, 502, 'upstream_error'],
  ['400 of HTML', { kind: 'body', status: 400, body: '<html>Bad Request</html>' }, 400, 'validation_failed'],
];

describe('a create that TensorPix refuses', () => {
  it.each(REFUSALS)(
    'should be answered in the shape of the contract and stay readable: %s',
    async (_, fault, status, code) => {
      for (const prefer of ['', 'handling=strict']) {
        const team = await stage.team();
        stage.fault(team, fault);
        const refused = await stage.video(team, stage.callback, { prefer });
        expect(refused.status).toBe(status);
        expect(refused.headers['content-type']).toContain('application/problem+json');
        const id = idOf(refused);
        expect(refused.body).toMatchObject({ type: 'about:blank', status, code, job_id: id });
        expect(refused.body.detail).not.toBe('');
        if (status === 400)
          expect(refused.body).toMatchObject({ errors: expect.anything(), non_field_errors: expect.anything() });
        expect(refused.headers.location).toBe(`/v1/jobs/${id}`);

        const read = await stage.get(team, `/v1/jobs/${id}`);
        expect(read.body).toMatchObject({ status: 'failed', status_reason: null, error: { code } });
        expect(read.body.finished_at).not.toBeNull();
        expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.failed']);
        expect(await stage.deliveries(id)).toEqual([]);
        expect(stage.creates(team)).toBe(1);
      }
    },
  );

  it("should copy the messages of TensorPix's 400 into the answer and the row", async () => {
    const team = await stage.team();
    const refused = await stage.video(team, { video_url: sourceUrl('not-a-video'), ...stage.callback });
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({
      code: 'validation_failed',
      errors: { video_url: ['The URL could not be parsed as a video.'] },
      non_field_errors: [],
    });
    expect((await stage.row(idOf(refused))).error).toMatchObject({
      code: 'validation_failed',
      errors: { video_url: ['The URL could not be parsed as a video.'] },
    });
    const models = await stage.video(team, { ml_models: [987_654] });
    expect(models.body.errors).toEqual({ ml_models: ['Invalid pk "987654" - object does not exist.'] });
    expect(stage.receiver.types(idOf(refused))).toEqual([]);
  });

  it('should mark the token as rejected, and as valid again once TensorPix takes it', async () => {
    const team = await stage.team();
    expect(await stage.tokenStatus(team)).toBe('valid');
    stage.fault(team, 'unauthorized', { times: 1 });
    await stage.video(team);
    expect(await stage.tokenStatus(team)).toBe('rejected');
    expect((await stage.video(team)).status).toBe(201);
    await eventually(
      () => stage.tokenStatus(team),
      (status) => status === 'valid',
    );
  });

  it('should never show or log the token (invariant 10)', async () => {
    const team = await stage.team();
    stage.fault(team, {
      kind: 'body',
      status: 400,
      body: { detail: `The token ${team.token} is odd: Token ${team.token}` },
    });
    await stage.video(team);
    expect(stage.gateway.logs()).not.toContain(team.token);
  });

  it('should fire job.failed when the refusal comes after the 202 of an asynchronous create', async () => {
    const team = await stage.team();
    stage.fault(team, 'forbidden');
    const created = await stage.video(team, stage.callback, { prefer: 'respond-async' });
    expect(created.status).toBe(202);
    const id = idOf(created);
    await stage.untilWebhooks(id, ['job.failed']);
    const [webhook] = stage.receiver.received.filter(({ json }) => json.data.id === id);
    expect(webhook?.json.data).toMatchObject({ status: 'failed', error: { code: 'upstream_forbidden' } });
    expect(webhook?.json.data).not.toHaveProperty('input');
  });

  it('should say that no callback is pending when none will come', async () => {
    const team = await stage.team();
    stage.fault(team, 'forbidden');
    const id = idOf(await stage.video(team, stage.callback));
    const list = await stage.get(team, '/v1/jobs?callback=undelivered');
    expect(list.body.data).toEqual([]);
    expect((await stage.get(team, `/v1/jobs/${id}`)).body.callback.state).not.toBe('pending');
  });
});

describe("the account's states of an asynchronous create", () => {
  it.each([
    ['402', { kind: 'payment_required' }, 'insufficient_credits'],
    ['400 about credits', { kind: 'no_credits_400' }, 'insufficient_credits'],
    ['400 about storage', { kind: 'storage_400' }, 'storage_full'],
    ['401', { kind: 'unauthorized' }, 'token_rejected'],
    ['429', { kind: 'rate_limited', retry_after_s: 30 }, 'rate_limited'],
  ] as [string, Fault, string][])('should park the job and send it again: %s', async (_, fault, reason) => {
    const team = await stage.team();
    stage.fault(team, fault, { times: 1 });
    const created = await stage.video(team, stage.callback, { prefer: 'respond-async' });
    expect(created.status).toBe(202);
    const id = idOf(created);
    const parked = await stage.untilRow(id, ({ status_reason }) => status_reason === reason);
    expect(parked).toMatchObject({ status: 'submitting', attempt: 1, lease_token: null });
    expect(parked.due_at?.getTime()).toBeGreaterThan(Date.now() + 5_000);

    // The pause of the tenant is written after the row: it must not come after it was ended here.
    await eventually(
      () =>
        stage.sql('select 1 from tenant_paces where tenant_id = $1 and greatest(rest_until, hold_until) > now()', [
          team.id,
        ]),
      (rows) => rows.length > 0,
    );
    await stage.makeDue(id);
    await stage.sql('update tenant_paces set rest_until = null where tenant_id = $1', [team.id]);
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(2);
  });
});
