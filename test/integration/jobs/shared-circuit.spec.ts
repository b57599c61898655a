import { afterEach, describe, expect, it, jest } from '@jest/globals';
import request, { type Response } from 'supertest';
import { JobsSubmitter } from '../../../src/modules/jobs/jobs.submitter.js';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { CREATE_VIDEO, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** No loop runs: what is parked stays parked until a test ticks. */
const ENV = { GATEWAY_ROLE: 'api' };
const stage = useStage({ env: ENV });
let other: Gateway | undefined;

afterEach(async () => {
  jest.restoreAllMocks();
  await other?.close();
  other = undefined;
});

async function create(gateway: Gateway, team: Team): Promise<Response> {
  return request(gateway.url)
    .post('/v1/jobs')
    .set(team.auth)
    .send({ video_url: sourceUrl(), ml_models: [1] });
}

async function isOpen(gateway: Gateway): Promise<boolean> {
  const { text } = await request(gateway.url).get('/metrics');
  return /^gateway_tensorpix_circuit_open 1$/m.test(text);
}

const untilOpen = (gateway: Gateway, open: boolean) =>
  eventually(
    () => isOpen(gateway),
    (is) => is === open,
  );

describe('a TensorPix that one replica has found to be down', () => {
  it('should be left alone by the others, and be asked again by all when one finds it up', async () => {
    other = await startGateway(stage.databaseUrl, stage.simulator.url, ENV);
    const [team, second, spared] = [await stage.team(), await stage.team(), await stage.team()];
    stage.simulator.control.addFault({ match: { path: '/api/' }, fault: 'bad_gateway' });
    // It opens for as long as it may, and anew until the other knows.
    jest.spyOn(Math, 'random').mockReturnValue(0.999);
    while (!(await isOpen(other))) {
      await create(stage.gateway, team);
      await create(stage.gateway, second);
    }
    const parked = await create(other, spared);
    expect([parked.status, parked.body.status_reason]).toEqual([202, 'upstream_unavailable']);
    expect(stage.calls(spared, 'POST', CREATE_VIDEO)).toEqual([]);

    stage.simulator.control.clearFaults();
    // The pause ends by itself; then one call may try.
    const submitter = stage.gateway.app.get(JobsSubmitter, { strict: false });
    await eventually(
      async () => {
        await stage.makeDue(String(parked.body.id));
        await submitter.tick();
        await submitter.drain();
        return stage.row(String(parked.body.id));
      },
      ({ status }) => status === 'queued',
    );
    await untilOpen(stage.gateway, false);
    await untilOpen(other, false);
    expect((await create(other, spared)).status).toBe(201);
    expect(stage.creates(spared)).toBe(2);
  });
});
