import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { eventually, startGateway } from '../../support/gateway.js';
import { idOf, useStage } from '../../support/stage.js';

/** No loop runs: nothing else cancels. */
const ENV = { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '60000' };
const stage = useStage({ env: ENV, simulator: { queueMs: 600_000 } });

describe('a cancel that TensorPix does not answer in time', () => {
  it('should be 202 with the wish on record, and come true although the process ends meanwhile', async () => {
    const team = await stage.team();
    const created = await stage.video(team);
    const id = idOf(created);
    const answer = stage.hold(team, { method: 'DELETE', path: `/api/jobs/${created.body.tensorpix_id}/$` });
    const gateway = await startGateway(stage.databaseUrl, stage.simulator.url, ENV);
    const path = `/v1/jobs/${id}/cancel`;
    const wanted = await request(gateway.url).post(path).set(team.auth);
    // Its call is under way still.
    await answer.untilHeld();
    expect([wanted.status, wanted.body.id, wanted.body.status]).toEqual([202, id, 'queued']);
    expect(await stage.eventTypes(id)).toContain('job.cancel_requested');

    const closed = gateway.close();
    await eventually(
      () =>
        fetch(gateway.url).then(
          ({ status }) => status,
          () => null,
        ),
      (status) => status === null,
    );
    answer.arrive();
    await closed;
    expect((await stage.row(id)).status).toBe('canceled');
    expect(gateway.logs()).not.toContain('could not be recorded');
  });
});
