import { afterEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import type { Fault, FaultKind } from '../../../simulator/faults.js';
import { eventually } from '../../support/gateway.js';
import { holdAnswer } from '../../support/held-answers.js';
import { startReceiver } from '../../support/receiver.js';
import { expectProblem, useWorld, VIDEO } from '../../support/world.js';
import { untilLooksEnded } from './looks-ended.js';

const CREATE = { method: 'POST', path: '/api/jobs/from-url/' };

describe('a cancel', () => {
  const world = useWorld({ TENSORPIX_TIMEOUT_MS: '5000' }, { queueMs: 600_000, durationMs: 600_000 });
  const http = () => request(world.gateway.url);
  const create = async (body: object = {}, prefer = '') => {
    const answer = await http()
      .post('/v1/jobs')
      .set(world.auth)
      .set('prefer', prefer)
      .send({ ...VIDEO, ...body });
    return answer.body as { id: string; tensorpix_id: number; status: string; status_reason: string };
  };
  const cancel = (id: string) => http().post(`/v1/jobs/${id}/cancel`).set(world.auth);
  const status = async (id: string) =>
    String((await http().get(`/v1/jobs/${id}`).set(world.auth).expect(200)).body.status);
  const becomes = (id: string, wanted: string) =>
    eventually(
      () => status(id),
      (value) => value === wanted,
    );
  const upstream = (id: number) => world.simulator.control.describeJob(id).status;
  const deletes = () => world.simulator.control.requests().filter(({ method }) => method === 'DELETE').length;
  const creates = () => world.simulator.control.requests().filter(({ method }) => method === 'POST').length;

  afterEach(async () => {
    world.simulator.control.clearFaults();
    await untilLooksEnded(world);
  });

  it('should end a job that is queued, at TensorPix too, and say so again when it is repeated', async () => {
    const { id, tensorpix_id } = await create();
    const { body } = await cancel(id).expect(200);
    expect(body).toMatchObject({ id, status: 'canceled', status_reason: null, finished_at: expect.any(String) });
    expect(upstream(tensorpix_id)).toBe(-2);
    await untilLooksEnded(world);
    const before = deletes();
    expect((await cancel(id).expect(200)).body).toEqual(body);
    expect(deletes()).toBe(before);
  });

  it('should end a job that is processing', async () => {
    const { id, tensorpix_id } = await create();
    world.simulator.control.changeJob(tensorpix_id, { queue_ms: 0 });
    await becomes(id, 'processing');
    await cancel(id).expect(200);
    expect(upstream(tensorpix_id)).toBe(-2);
  });

  it('should end a parked job without a call, which is then never sent', async () => {
    world.simulator.control.addFault({ match: CREATE, times: 1, fault: { kind: 'rate_limited', retry_after_s: 60 } });
    const job = await create();
    expect(job).toMatchObject({ status: 'submitting', status_reason: 'rate_limited' });
    const before = [creates(), deletes()];
    const { body } = await cancel(job.id).expect(200);
    expect(body).toMatchObject({ status: 'canceled', tensorpix_id: null, submitted_at: null });
    // The rest is over, and the job is due if anything is to be sent of it.
    await world.sql('update tenant_paces set rest_until = now()');
    await world.sql('update jobs set due_at = now() where id = $1 and due_at is not null', [job.id]);
    const rested = () =>
      world.sql<{ over: boolean }>(
        "select coalesce(rest_until < now() - interval '2 seconds', true) as over from tenant_paces",
      );
    await eventually(rested, (rows) => rows.every(({ over }) => over));
    expect([creates(), deletes()]).toEqual(before);
    expect(await status(job.id)).toBe('canceled');
  });

  it.each([
    [2, 'finished'],
    [-1, 'failed'],
  ])('should be refused for a job that has ended at TensorPix (%p)', async (end, name) => {
    const { id, tensorpix_id } = await create();
    world.simulator.control.changeJob(tensorpix_id, { status: end });
    await becomes(id, name);
    const before = deletes();
    const problem = expectProblem(await cancel(id), 409, 'invalid_state');
    expect(problem.job_id).toBe(id);
    expect(deletes()).toBe(before);
    expect(await status(id)).toBe(name);
  });

  it('should be refused when TensorPix has ended the job in the meantime', async () => {
    const { id, tensorpix_id } = await create();
    world.simulator.control.addFault({ match: { method: 'GET', path: '/api/jobs/' }, times: 1, fault: 'server_error' });
    world.simulator.control.changeJob(tensorpix_id, { status: 2 });
    const answer = await cancel(id);
    if (answer.status === 202) await becomes(id, 'finished');
    else expectProblem(answer, 409, 'invalid_state');
    expect(await status(id)).toBe('finished');
  });

  it.each<[string, Fault | FaultKind]>([
    ['a 500', 'server_error'],
    ['an HTML 502', 'bad_gateway'],
    ['silence', 'no_answer'],
    ['silence after it was done', 'no_answer_after_commit'],
    ['a reset', 'reset'],
    ['a reset after it was done', 'reset_after_commit'],
    ['a 500 after it was done', 'error_after_commit'],
    ['a 404', { kind: 'body', status: 404, body: { detail: 'Not found.' } }],
    ['a 409', { kind: 'body', status: 409, body: { detail: 'Conflict.' } }],
    ['a 400', { kind: 'body', status: 400, body: { errors: {}, non_field_errors: ['no'] } }],
    ['a 403', 'forbidden'],
    ['a redirect', { kind: 'body', status: 302, headers: { location: '/' }, body: '' }],
  ])('should come true in the end when TensorPix first answers with %s', async (_, fault) => {
    const { id, tensorpix_id } = await create();
    world.simulator.control.addFault({
      match: { method: 'DELETE', path: `/api/jobs/${tensorpix_id}/` },
      times: 1,
      fault,
    });
    const answer = await cancel(id);
    expect([200, 202]).toContain(answer.status);
    expect(answer.body.status === 'canceled').toBe(answer.status === 200);
    await becomes(id, 'canceled');
    expect(upstream(tensorpix_id)).toBe(-2);
  });

  it('should let the token rest when TensorPix throttles it, and come true afterwards', async () => {
    const { id, tensorpix_id } = await create();
    const match = { method: 'DELETE', path: `/api/jobs/${tensorpix_id}/` };
    world.simulator.control.addFault({ match, times: 1, fault: { kind: 'rate_limited', retry_after_s: 60 } });
    // A look under way may be the one that is throttled; the cancel itself then comes true at once.
    expect([200, 202]).toContain((await cancel(id)).status);
    await eventually(
      () => world.sql('select 1 from tenant_paces where rest_until > now()'),
      (resting) => resting.length === 1,
    );
    await world.sql('update tenant_paces set rest_until = null');
    await becomes(id, 'canceled');
    expect(upstream(tensorpix_id)).toBe(-2);
  });

  it('should leave a job alone that TensorPix refuses to cancel, and tell how it ends', async () => {
    const { id, tensorpix_id } = await create();
    world.simulator.control.changeJob(tensorpix_id, { cancellable: false });
    await cancel(id).expect(202);
    world.simulator.control.changeJob(tensorpix_id, { status: 2 });
    await becomes(id, 'finished');
    expectProblem(await cancel(id), 409, 'invalid_state');
  });

  it('should end a job that is being sent, once TensorPix has it', async () => {
    const sent = holdAnswer(world.simulator, CREATE);
    const { id } = await create({}, 'wait=0');
    await sent.untilHeld();
    await cancel(id).expect(202);
    sent.arrive();
    await becomes(id, 'canceled');
    const [row] = await world.sql<{ id: number | null }>('select tensorpix_id::int as id from jobs where id = $1', [
      id,
    ]);
    if (row?.id != null) expect(upstream(row.id)).toBe(-2);
  });

  it('should not leave the outcome open of a job whose call is under way and then refused', async () => {
    const sent = holdAnswer(world.simulator, CREATE);
    const { id } = await create({ video_url: 'https://media.example.com/not-a-video.txt' }, 'wait=0');
    await sent.untilHeld();
    await cancel(id).expect(202);
    sent.arrive();
    const ended = await eventually(
      () => status(id),
      (value) => value !== 'submitting',
    );
    expect(['failed', 'canceled']).toContain(ended);
  });

  it('should be told to the callback exactly once, however often it is asked for', async () => {
    const receiver = await startReceiver();
    try {
      const { id } = await create({ callback_url: receiver.url });
      const answers = await Promise.all(Array.from({ length: 6 }, () => cancel(id)));
      expect(answers.every(({ status: code }) => code === 200 || code === 202)).toBe(true);
      await becomes(id, 'canceled');
      await eventually(
        () => receiver.types(id),
        (types) => types.includes('job.canceled'),
      );
      expect(receiver.types(id)).toEqual(['job.queued', 'job.canceled']);
      const events = await world.sql<{ sequence: number }>(
        'select sequence from job_events where job_id = $1 order by sequence',
        [id],
      );
      expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1));
    } finally {
      await receiver.close();
    }
  });
});
