import { describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import { Lease } from '../../../src/common/loops/lease.js';
import { Problem } from '../../../src/common/errors/problem.js';
import { answerOf } from '../../../src/modules/jobs/creation-answer.js';
import { JobIntentsStore } from '../../../src/modules/jobs/job-intents.store.js';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { JobsReconciler } from '../../../src/modules/jobs/reconciliation/jobs.reconciler.js';
import { SubmissionService } from '../../../src/modules/jobs/submission.service.js';
import { WaitingCaller } from '../../../src/modules/jobs/waiting-caller.js';
import { eventually } from '../../support/gateway.js';
import { idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';
import { intentOf } from './intents.js';
import { tick } from './ticks.js';

const TIMEOUT_MS = 1_000;
const STRICT = { prefer: 'handling=strict' };
/** No loop runs: these tests tick. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: String(TIMEOUT_MS), RECONCILE_GRACE_MS: '400' },
});

async function cancel(team: Team, id: string): Promise<Response> {
  return request(stage.gateway.url).post(`/v1/jobs/${id}/cancel`).set(team.auth);
}

describe('a strict job that TensorPix is known not to have', () => {
  async function absent(team: Team, fields: object = {}): Promise<string> {
    stage.fault(team, 'server_error', { times: 1 });
    const refused = await stage.video(team, { ...stage.callback, ...fields }, STRICT);
    expect([refused.status, refused.body.code]).toEqual([502, 'upstream_error']);
    const id = idOf(refused);
    const row = await eventually(
      async () => {
        await tick(stage, JobsReconciler);
        return stage.row(id);
      },
      ({ status_reason }) => status_reason === 'outcome_unknown',
    );
    expect(row).toMatchObject({ status: 'unconfirmed', clean_looks: 2, tensorpix_id: null });
    return id;
  }

  it('should count as one that waits for a person', async () => {
    const left = async (): Promise<number> => {
      const { text } = await request(stage.gateway.url).get('/metrics');
      return Number(/^gateway_jobs_left_to_a_person_total (\d+)$/m.exec(text)?.[1]);
    };
    const before = await left();
    await absent(await stage.team());
    expect(await left()).toBe(before + 1);
  });

  it('should be canceled at once, without a call', async () => {
    const team = await stage.team();
    const id = await absent(team);
    const calls = stage.calls(team).length;
    const canceled = await cancel(team, id);
    expect([canceled.status, canceled.body.id, canceled.body.status]).toEqual([200, id, 'canceled']);
    expect((await stage.events(id)).at(-1)).toMatchObject({ type: 'job.canceled' });
    expect((await stage.deliveries(id)).map(({ event_type }) => event_type)).toEqual(['job.canceled']);

    const again = await cancel(team, id);
    expect([again.status, again.body.status]).toEqual([200, 'canceled']);
    await tick(stage, JobsReconciler);
    await tick(stage, JobsSubmitter);
    expect(stage.calls(team)).toHaveLength(calls);
    expect((await stage.row(id)).status).toBe('canceled');
  });

  it("should stand in no equal request's way, before the cancel and after it", async () => {
    const team = await stage.team();
    const same = { video_url: sourceUrl(), ml_models: [1] };
    const id = await absent(team, same);
    expect((await stage.video(team, same)).status).toBe(201);
    expect((await cancel(team, id)).status).toBe(200);
    expect((await stage.video(team, same)).status).toBe(201);
  });
});

describe('a strict job whose claim is too old for a call', () => {
  /** A job that was claimed, with a claim that ends too soon to cover a call. */
  async function submitLate(team: Team, isConnected: () => boolean) {
    const lease = new Lease(TIMEOUT_MS);
    const { callback_url: callbackUrl, callback_events: callbackEvents } = stage.callback;
    const intent = await intentOf(stage, team, { callbackUrl, callbackEvents, lease, strict: true, key: null });
    const recorded = await stage.gateway.app.get(JobIntentsStore, { strict: false }).insert(intent);
    if (typeof recorded === 'string') throw new Error(recorded);
    expect(recorded.job.leaseToken).toBe(lease.token);
    const caller = new WaitingCaller(true, isConnected);
    const token = { ciphertext: '', token: team.token };
    return stage.gateway.app.get(SubmissionService, { strict: false }).submit(recorded, token, lease, caller);
  }

  it('should fail without a call, and tell its caller instead of its receiver', async () => {
    const team = await stage.team();
    const submitted = await submitLate(team, () => true);
    const { id } = submitted.job;
    const answer = answerOf(submitted, true);
    expect(answer).toBeInstanceOf(Problem);
    expect(answer).toMatchObject({ code: 'upstream_error', detail: submitted.job.error?.detail });
    expect(await stage.row(id)).toMatchObject({ status: 'failed', error: { code: 'upstream_unreachable' } });
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.claim_released', 'job.failed']);
    expect(await stage.deliveries(id)).toEqual([]);
    await tick(stage, JobsSubmitter);
    expect(stage.creates(team)).toBe(0);
  });

  it('should fail without a call, and tell its receiver when its caller has gone', async () => {
    const team = await stage.team();
    const { job } = await submitLate(team, () => false);
    expect(await stage.row(job.id)).toMatchObject({ status: 'failed', error: { code: 'upstream_unreachable' } });
    expect((await stage.deliveries(job.id)).map(({ event_type }) => event_type)).toEqual(['job.failed']);
    expect(stage.creates(team)).toBe(0);
  });
});
