import { describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import type { FaultKind } from '../../../simulator/faults.js';
import { ADMIN_KEY, eventually } from '../../support/gateway.js';
import { CREATE_VIDEO, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** Short enough to see two looks, long enough that nothing is judged before its time. */
const GRACE_MS = 400;
const stage = useStage({ env: { TENSORPIX_TIMEOUT_MS: '500', RECONCILE_GRACE_MS: String(GRACE_MS) } });
const ADMIN = { authorization: `Bearer ${ADMIN_KEY}` };

async function unconfirmed(team: Team, kind: FaultKind, fields: object = {}, headers = {}): Promise<string> {
  stage.fault(team, kind, { times: 1 });
  const created = await stage.video(team, { ...stage.callback, ...fields }, headers);
  expect(['unconfirmed', 502, 504]).toContain(created.body.status);
  return idOf(created);
}

/** Until the faults are cleared nothing can be found out: what is unknown stays so. */
function hideLists(team: Team): void {
  stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/' } });
}

/** Another system on the same account makes a job. */
async function foreign(team: Team, fields: object): Promise<number> {
  const body = { video_url: sourceUrl('foreign'), ml_models: [1], ...fields };
  const answer = await request(stage.simulator.url)
    .post(CREATE_VIDEO)
    .set({ authorization: `Token ${team.token}` })
    .send(body)
    .expect(201);
  return (answer.body as { id: number }).id;
}

async function resolve(team: Team, id: string, body: object) {
  return request(stage.gateway.url).post(`/v1/tenants/${team.id}/jobs/${id}/resolve`).set(ADMIN).send(body);
}

const MADE: FaultKind[] = ['no_answer_after_commit', 'reset_after_commit', 'error_after_commit', 'garbage'];
const NOT_MADE: FaultKind[] = ['no_answer', 'reset', 'server_error', 'bad_gateway'];

describe('a call of unknown outcome (invariant 2)', () => {
  it.each(MADE)('should be adopted when TensorPix made the job: %s', async (kind) => {
    const team = await stage.team();
    const id = await unconfirmed(team, kind);
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect(await stage.eventTypes(id)).toEqual(
      expect.arrayContaining(['job.submitting', 'job.unconfirmed', 'job.adopted', 'job.queued', 'job.finished']),
    );
    expect(stage.creates(team)).toBe(1);
    expect((await stage.row(id)).attempt).toBe(1);
  });

  it.each(NOT_MADE)('should be sent again after two clean looks when it did not: %s', async (kind) => {
    const team = await stage.team();
    const id = await unconfirmed(team, kind);
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    const events = await stage.events(id);
    const looks = events.filter(({ type }) => type === 'job.not_found');
    expect(looks.map(({ data }) => data.look)).toEqual([1, 2]);
    const begun = looks.map(({ data }) => Date.parse(String(data.begun_at)));
    expect((begun[1] ?? 0) - (begun[0] ?? 0)).toBeGreaterThanOrEqual(GRACE_MS / 4);
    expect(stage.creates(team)).toBe(2);
    expect((await stage.row(id)).attempt).toBe(2);
  });

  it('should adopt a job that ended and left the list before anybody looked', async () => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'no_answer_after_commit', {
      video_url: `${sourceUrl('sim-unlisted-when-ended')}?queue=1`,
    });
    await stage.untilRow(id, ({ status }) => status === 'finished');
    expect(stage.creates(team)).toBe(1);
  });

  it('should not believe a list that is empty for a moment', async () => {
    const team = await stage.team();
    const known = await stage.video(team, { video_url: sourceUrl('sim-stick') });
    expect(known.status).toBe(201);
    stage.simulator.control.addFault({
      match: { method: 'GET', path: '/api/jobs/$', token: team.token },
      fault: { kind: 'body', status: 200, body: { count: 0, next: null, previous: null, results: [] } },
    });
    const id = await unconfirmed(team, 'no_answer_after_commit', { video_url: sourceUrl('sim-stick') });
    await eventually(
      () => stage.calls(team, 'GET').filter(({ path }) => path.startsWith('/api/restored-videos/')).length,
      (count) => count >= 3,
    );
    expect((await stage.row(id)).status).toBe('unconfirmed');
    expect(await stage.eventTypes(id)).not.toContain('job.not_found');
    stage.simulator.control.clearFaults();
    await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(stage.creates(team)).toBe(2);
  });

  it('should reach no verdict while TensorPix serves half of its lists', async () => {
    const team = await stage.team();
    stage.fault(team, 'server_error', { probability: 0.5, match: { method: 'GET', path: '/api/' } });
    const id = await unconfirmed(team, 'reset_after_commit');
    await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(stage.creates(team)).toBe(1);
  });

  it('should never adopt what was there before, or is of another request', async () => {
    const team = await stage.team();
    const url = sourceUrl();
    const before = await foreign(team, { video_url: url, ml_models: [1] });
    await stage.video(team, { video_url: sourceUrl('sim-stick') });
    await stage.video(team, { video_url: sourceUrl('sim-stick') });
    await stage.video(team, { video_url: sourceUrl('sim-stick') });
    // The poller's list has shown it by now.
    await eventually(
      () => stage.sql('select 1 from upstream_sightings where tensorpix_id = $1', [before]),
      (rows) => rows.length > 0,
    );
    const id = await unconfirmed(team, 'reset', { video_url: url, ml_models: [1], codec: 'libx264' });
    const others = [
      await foreign(team, { video_url: url, ml_models: [2] }),
      await foreign(team, { video_url: url, ml_models: [1], codec: 'libx265' }),
    ];
    const row = await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect([before, ...others].map(String)).not.toContain(row.tensorpix_id);
    expect(row.attempt).toBe(2);
  });
});

describe('equal requests of one account', () => {
  it('should wait while the outcome of one is unknown, and go on when it is known', async () => {
    const team = await stage.team();
    const same = { video_url: sourceUrl(), ml_models: [1] };
    hideLists(team);
    const first = await unconfirmed(team, 'no_answer', same);
    const second = await stage.video(team, { ...same, crf: 20 });
    expect([second.status, second.body.status, second.body.status_reason]).toEqual([
      202,
      'submitting',
      'outcome_unknown',
    ]);
    const strict = await stage.video(team, same, { prefer: 'handling=strict' });
    expect([strict.status, strict.body.code]).toEqual([503, 'unavailable']);
    expect(stage.creates(team)).toBe(1);
    stage.simulator.control.clearFaults();
    await stage.untilRow(first, ({ tensorpix_id }) => tensorpix_id !== null);
    await stage.untilRow(idOf(second), ({ tensorpix_id }) => tensorpix_id !== null);
    expect(stage.creates(team)).toBe(3);
  });

  it('should wait for each other across tenants with one token, and keep their own jobs', async () => {
    const [one, other] = [await stage.team(), await stage.team()];
    await request(stage.gateway.url)
      .patch(`/v1/tenants/${other.id}`)
      .set(ADMIN)
      .send({ tensorpix_token: one.token })
      .expect(200);
    const same = { video_url: sourceUrl(), ml_models: [1] };
    hideLists(one);
    const first = await unconfirmed(one, 'no_answer_after_commit', same);
    const second = await stage.video(other, same);
    expect(second.body.status_reason).toBe('outcome_unknown');
    stage.simulator.control.clearFaults();
    const rows = [
      await stage.untilRow(first, ({ status }) => status === 'finished'),
      await stage.untilRow(idOf(second), ({ status }) => status === 'finished'),
    ];
    expect(new Set(rows.map(({ tensorpix_id }) => tensorpix_id)).size).toBe(2);
    expect(stage.creates(one)).toBe(2);
  });
});

describe('handling=strict', () => {
  it('should adopt what TensorPix made', async () => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'no_answer_after_commit', {}, { prefer: 'handling=strict' });
    await stage.untilWebhooks(id, ['job.queued', 'job.finished']);
    expect(stage.creates(team)).toBe(1);
  });

  it('should never send again, and leave what is not there to a person', async () => {
    const team = await stage.team();
    const id = await unconfirmed(team, 'no_answer', {}, { prefer: 'handling=strict' });
    const row = await stage.untilRow(id, ({ status_reason }) => status_reason === 'outcome_unknown');
    expect(row).toMatchObject({ status: 'unconfirmed', tensorpix_id: null, attempt: 1 });
    expect(stage.creates(team)).toBe(1);
    const resolved = await resolve(team, id, { decision: 'fail' });
    expect([resolved.status, resolved.body.status, resolved.body.error.code]).toEqual([
      200,
      'failed',
      'outcome_unknown',
    ]);
    await stage.untilWebhooks(id, ['job.failed']);
  });
});

describe('the decision of a person', () => {
  /** Contract, section 2. */
  function expectAbout({ body, headers }: Response, id: string): void {
    expect([body.job_id, headers.location]).toEqual([id, `/v1/jobs/${id}`]);
  }

  /** A job that stays unconfirmed, because TensorPix's lists do not come. */
  async function stuck(team: Team, kind: FaultKind): Promise<string> {
    stage.fault(team, 'server_error', { match: { method: 'GET', path: '/api/jobs/$' } });
    return unconfirmed(team, kind);
  }

  it('should adopt an id that the tenant can see, and no other', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const id = await stuck(team, 'no_answer_after_commit');
    const alien = await foreign(other, {});
    const refused = await resolve(team, id, { decision: 'adopt', tensorpix_id: alien });
    expect([refused.status, Object.keys(refused.body.errors)]).toEqual([400, ['tensorpix_id']]);
    expectAbout(refused, id);
    // The simulator counts on from job to job.
    const made = alien - 1;
    const adopted = await resolve(team, id, { decision: 'adopt', tensorpix_id: made });
    expect([adopted.status, adopted.body.tensorpix_id]).toEqual([200, made]);
    expect(await stage.eventTypes(id)).toContain('job.resolved');
    const again = await resolve(team, id, { decision: 'fail' });
    expect([again.status, again.body.code]).toEqual([409, 'invalid_state']);
    expectAbout(again, id);
  });

  it('should not give it the id that another job owns, nor one that TensorPix cannot show', async () => {
    const team = await stage.team();
    const owner = await stage.video(team);
    const id = await stuck(team, 'no_answer');
    const decision = { decision: 'adopt', tensorpix_id: owner.body.tensorpix_id };
    const owned = await resolve(team, id, decision);
    expect([owned.status, owned.body.code]).toEqual([409, 'invalid_state']);
    expectAbout(owned, id);
    stage.fault(team, 'server_error', { match: { method: 'GET', path: `/api/jobs/${owner.body.tensorpix_id}/$` } });
    const unseen = await resolve(team, id, decision);
    expect([unseen.status, unseen.body.code]).toEqual([502, 'upstream_error']);
    expectAbout(unseen, id);
  });

  it('should send again when told to', async () => {
    const team = await stage.team();
    const id = await stuck(team, 'no_answer');
    const resolved = await resolve(team, id, { decision: 'resubmit' });
    expect(resolved.status).toBe(200);
    await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
    expect(stage.creates(team)).toBe(2);
  });

  it.each([
    [{ decision: 'adopt' }, 'tensorpix_id'],
    [{ decision: 'fail', tensorpix_id: 5 }, 'tensorpix_id'],
    [{ decision: 'adopt', tensorpix_id: 0 }, 'tensorpix_id'],
    [{ decision: 'forget' }, 'decision'],
    [{}, 'decision'],
  ])('should be refused when it makes no sense: %j', async (body, field) => {
    const team = await stage.team();
    const answer = await resolve(team, '01935000-0000-7000-8000-000000000001', body);
    expect([answer.status, Object.keys(answer.body.errors ?? {})]).toEqual([400, [field]]);
  });

  it('should want the admin key and the right tenant', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const id = await stuck(team, 'no_answer');
    const path = `/v1/tenants/${team.id}/jobs/${id}/resolve`;
    await request(stage.gateway.url).post(path).set(team.auth).send({ decision: 'fail' }).expect(403);
    expect((await resolve(other, id, { decision: 'fail' })).status).toBe(404);
  });
});

describe('a cancel of a job of unknown outcome', () => {
  it.each(['no_answer_after_commit', 'no_answer'] as FaultKind[])(
    'should hold after reconciliation: %s',
    async (kind) => {
      const team = await stage.team();
      hideLists(team);
      const id = await unconfirmed(team, kind, { video_url: sourceUrl('sim-stick') });
      await request(stage.gateway.url).post(`/v1/jobs/${id}/cancel`).set(team.auth).expect(202);
      stage.simulator.control.clearFaults();
      await stage.untilRow(id, ({ status }) => status === 'canceled');
      await stage.untilWebhooks(id, kind === 'no_answer' ? ['job.canceled'] : ['job.queued', 'job.canceled']);
      expect(stage.creates(team)).toBe(1);
    },
  );
});
