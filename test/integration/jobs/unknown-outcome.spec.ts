import { describe, expect, it } from '@jest/globals';
import type { Fault } from '../../../simulator/faults.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { idOf, useStage } from '../../support/stage.js';

/** No loop runs: the reconciler would find some of these jobs before a test has looked at their rows. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '1000' } });

const FAULTS: [string, Fault, 502 | 504][] = [
  ['500', { kind: 'server_error' }, 502],
  ['500 after the job was made', { kind: 'error_after_commit' }, 502],
  ['HTML 502', { kind: 'bad_gateway' }, 502],
  ['HTML 503', { kind: 'bad_gateway', status: 503 }, 502],
  ['gateway timeout 504', { kind: 'bad_gateway', status: 504 }, 502],
  ['redirect', { kind: 'body', status: 302, headers: { location: '/api/jobs/from-url/' }, body: '' }, 502],
  ['reset', { kind: 'reset' }, 502],
  ['reset after the job was made', { kind: 'reset_after_commit' }, 502],
  ['no answer', { kind: 'no_answer' }, 504],
  ['no answer after the job was made', { kind: 'no_answer_after_commit' }, 504],
  ['201 with a string as id', { kind: 'body', status: 201, body: { id: '77', status: 0, cost_usd: '1' } }, 502],
  ['201 without an id', { kind: 'body', status: 201, body: { status: 0 } }, 502],
  ['201 of HTML', { kind: 'body', status: 201, body: '<html>ok</html>' }, 502],
  ['empty 201', { kind: 'body', status: 201, body: '' }, 502],
  ['201 that breaks off', { kind: 'garbage' }, 502],
  ['200 of another kind', { kind: 'body', status: 200, body: [] }, 502],
];

/** Gives every loop the chance to send again what must not be sent again. */
async function tickSubmitter(): Promise<void> {
  const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
  for (let tick = 0; tick < 3; tick += 1) {
    await submitter.tick();
    await submitter.drain();
  }
}

describe('a create whose outcome is unknown (invariant 2)', () => {
  it.each(FAULTS)('should be unconfirmed, answered 202 and never called again: %s', async (_, fault) => {
    const team = await stage.team();
    stage.fault(team, fault);
    const created = await stage.video(team, stage.callback);
    expect(created.status).toBe(202);
    expect(created.body).toMatchObject({ status: 'unconfirmed', tensorpix_id: null, error: null });
    expect(created.body.status_reason).not.toBe('sending');
    const id = idOf(created);
    expect(created.headers.location).toBe(`/v1/jobs/${id}`);

    stage.simulator.control.clearFaults();
    await tickSubmitter();
    expect(stage.creates(team)).toBe(1);
    expect(await stage.row(id)).toMatchObject({ status: 'unconfirmed', attempt: 1, due_at: null, lease_token: null });
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.unconfirmed']);
    expect(await stage.deliveries(id)).toEqual([]);
  });

  it.each(FAULTS)('should be an error with job_id and Location under handling=strict: %s', async (_, fault, status) => {
    const team = await stage.team();
    stage.fault(team, fault);
    const refused = await stage.video(team, {}, { prefer: 'handling=strict' });
    expect(refused.status).toBe(status);
    const id = idOf(refused);
    expect(refused.body).toMatchObject({ code: status === 504 ? 'upstream_timeout' : 'upstream_error', job_id: id });
    expect(refused.headers.location).toBe(`/v1/jobs/${id}`);

    stage.simulator.control.clearFaults();
    await tickSubmitter();
    expect(stage.creates(team)).toBe(1);
    expect((await stage.row(id)).status).toBe('unconfirmed');
  });

  it('should be unconfirmed and not called again when it was asynchronous', async () => {
    const team = await stage.team();
    stage.fault(team, 'reset_after_commit');
    const created = await stage.video(team, {}, { prefer: 'respond-async' });
    expect([created.status, created.body.status]).toEqual([202, 'submitting']);
    await tickSubmitter();
    expect((await stage.row(idOf(created))).status).toBe('unconfirmed');
    expect(stage.creates(team)).toBe(1);
  });

  it('should be unconfirmed when TensorPix answers with the id of another job of the account (invariant 3)', async () => {
    const team = await stage.team();
    const first = await stage.video(team, { video_url: 'https://media.example.com/sim-stick.mp4' });
    const body = { id: first.body.tensorpix_id as number, status: 0, cost_usd: '1.0' };
    stage.fault(team, { kind: 'body', status: 201, body });
    const second = await stage.video(team);
    expect(second.status).toBe(202);
    expect(second.body).toMatchObject({
      status: 'unconfirmed',
      status_reason: 'upstream_unavailable',
      tensorpix_id: null,
    });
    const strict = await stage.video(team, {}, { prefer: 'handling=strict' });
    expect([strict.status, strict.body.code]).toEqual([502, 'upstream_error']);
    expect(stage.creates(team)).toBe(3);
    expect((await stage.eventTypes(idOf(second))).at(-1)).toBe('job.unconfirmed');
    expect((await stage.row(idOf(first))).tensorpix_id).toBe(String(body.id));
  });

  it('should bind equal ids for two accounts, whose spaces of ids are their own', async () => {
    const one = await stage.team();
    const two = await stage.team();
    const fault: Fault = { kind: 'body', status: 201, body: { id: 424_242, status: 0, cost_usd: '1.0' } };
    for (const team of [one, two]) stage.fault(team, fault);
    expect((await stage.video(one)).status).toBe(201);
    expect((await stage.video(two)).status).toBe(201);
  });
});
