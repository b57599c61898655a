import { describe, expect, it } from '@jest/globals';
import request, { type Response } from 'supertest';
import { CREATE_IMAGE, CREATE_VIDEO, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

/** No loop runs. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '10000' },
  simulator: { queueMs: 600_000 },
});

/** The line of the log about a job whose message has this in it. */
function logged(jobId: string, message: string): Record<string, unknown> | undefined {
  const lines = stage.gateway
    .logs()
    .split('\n')
    .filter((line) => line.includes(jobId) && line.includes(message));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)[0];
}

/** A create whose row goes while its call is under way, as in a failover to a standby that has not got it. */
async function loseRow(
  team: Team,
  path: typeof CREATE_VIDEO | typeof CREATE_IMAGE,
  create: () => Promise<Response>,
): Promise<Response> {
  const held = stage.hold(team, { path });
  const answer = create().then((response) => response);
  await held.untilHeld();
  await stage.sql('delete from jobs where tenant_id = $1', [team.id]);
  held.arrive();
  return answer;
}

async function idsAtTensorpix(team: Team): Promise<number[]> {
  const { body } = await request(stage.simulator.url)
    .get('/api/jobs/')
    .set({ authorization: `Token ${team.token}` })
    .expect(200);
  return (body as { results: { id: number }[] }).results.map(({ id }) => id);
}

describe('a job whose row is gone when its call has been answered', () => {
  it('should be told as 503, and what TensorPix made as a line of the log', async () => {
    const team = await stage.team();
    const answer = await loseRow(team, CREATE_VIDEO, () => stage.video(team));
    expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
    const [made] = await idsAtTensorpix(team);
    expect(made).toBeDefined();
    expect(logged(idOf(answer), 'could not be written')).toMatchObject({ tensorpix_id: made, tenant_id: team.id });
  });

  it('should be told so of an image too', async () => {
    const team = await stage.team();
    const answer = await loseRow(team, CREATE_IMAGE, () => stage.image(team, { watermark: false }));
    expect(answer.status).toBe(503);
    const line = logged(idOf(answer), 'could not be written');
    expect(line?.enhanced_img_id).toEqual(expect.stringMatching(/./));
  });
});

it('should say in the log which id TensorPix has given that another job owns', async () => {
  const team = await stage.team();
  const other = await stage.video(team);
  const id = other.body.tensorpix_id as number;
  stage.fault(team, { kind: 'body', status: 201, body: { id, status: 0, cost_usd: '1.0' }, commit: false });
  const answer = await stage.video(team, { video_url: sourceUrl() });
  expect([answer.status, answer.body.status]).toEqual([202, 'unconfirmed']);
  expect(logged(idOf(answer), 'the id of another job')).toMatchObject({ tensorpix_id: id });
});
