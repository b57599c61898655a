import { afterEach, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { startLossyRelay, type LossyRelay } from '../../support/lossy-relay.js';
import { CREATE_IMAGE, CREATE_VIDEO, idOf, sourceUrl, useStage, type Team } from '../../support/stage.js';

const ENV = { TENSORPIX_TIMEOUT_MS: '2000', RECONCILE_GRACE_MS: '4000' };
const ASYNC = { prefer: 'respond-async' };
const CLAIM = 'ended_at as "endedAt"';
const INSERT = 'insert into jobs';
/** More than a create tries within its patience. */
const ALL = 1_000;
/** It runs no loop: what is claimed, the gateway behind the relay claims. */
const stage = useStage({ env: { ...ENV, GATEWAY_ROLE: 'api' }, simulator: { queueMs: 600_000 } });

const open: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A gateway that does not hear what became of so many statements with this text. */
async function startDeaf(text: string, losses: number): Promise<{ gateway: Gateway; relay: LossyRelay }> {
  const relay = await startLossyRelay(stage.databaseUrl, text);
  open.push(relay);
  relay.losses.next = losses;
  const gateway = await startGateway(relay.url, stage.simulator.url, { ...ENV, GATEWAY_ROLE: 'all' });
  open.push(gateway);
  return { gateway, relay };
}

async function waiting(team: Team): Promise<{ image: string; video: string }> {
  const image = idOf(await stage.image(team, { watermark: false }, ASYNC));
  return { image, video: idOf(await stage.video(team, {}, ASYNC)) };
}

const RELEASED = ['submitting', 'sending', 'claim_released', 'sending'];

describe('a claim whose answer is lost', () => {
  it('should be put back by the process that made it, which has sent nothing', async () => {
    const team = await stage.team();
    const { image, video } = await waiting(team);
    const { relay } = await startDeaf(CLAIM, 1);
    expect((await stage.untilRow(image, ({ status }) => status !== 'submitting')).status).toBe('finished');
    expect((await stage.untilRow(video, ({ status }) => status !== 'submitting')).status).toBe('queued');
    expect(relay.losses.lost).toBe(1);
    expect(await stage.eventTypes(image)).toEqual([...RELEASED, 'finished'].map((name) => `image.${name}`));
    expect(await stage.eventTypes(video)).toEqual([...RELEASED, 'queued'].map((name) => `job.${name}`));
    expect((await stage.rowsOf(team)).map(({ attempt }) => attempt)).toEqual([1, 1]);
    expect(stage.calls(team, 'POST', CREATE_IMAGE)).toHaveLength(1);
    expect(stage.calls(team, 'POST', CREATE_VIDEO)).toHaveLength(1);
  });

  it('should be put back before the process ends', async () => {
    const team = await stage.team();
    const { image, video } = await waiting(team);
    const { relay } = await startDeaf(CLAIM, ALL);
    await eventually(
      () => relay.losses.lost,
      (lost) => lost > 0,
    );
    await open.pop()?.close();
    for (const id of [image, video]) {
      const { status, attempt, lease_token } = await stage.row(id);
      expect([status, attempt, lease_token]).toEqual(['submitting', 0, null]);
    }
  });
});

const BODIES = {
  '/v1/jobs': () => ({ video_url: sourceUrl(), ml_models: [1] }),
  '/v1/images': () => ({
    url: 'https://media.example.com/in.png',
    enhancement_type: 'sr2x',
    face_enhance: false,
    output_format: 'png',
    watermark: false,
  }),
};
const CALLS = { '/v1/jobs': CREATE_VIDEO, '/v1/images': CREATE_IMAGE };

describe.each(['/v1/jobs', '/v1/images'] as const)('a create whose row is there and was not heard of: %s', (path) => {
  async function unheard(team: Team, headers: Record<string, string>) {
    const { gateway, relay } = await startDeaf(INSERT, ALL);
    const body = BODIES[path]();
    const create = () => request(gateway.url).post(path).set(team.auth).set(headers).send(body);
    const refused = await create();
    expect([refused.status, relay.losses.lost > 0]).toEqual([503, true]);
    relay.losses.next = 0;
    return { id: idOf(refused), create };
  }

  it('should be sent all the same, and be what its key stands for', async () => {
    const team = await stage.team();
    const { id, create } = await unheard(team, { 'idempotency-key': 'k' });
    const row = await stage.untilRow(id, ({ status }) => status !== 'submitting');
    expect(row).toMatchObject({ status: path === '/v1/jobs' ? 'queued' : 'finished', attempt: 1 });
    expect(await stage.eventTypes(id)).toContain(path === '/v1/jobs' ? 'job.claim_released' : 'image.claim_released');
    const again = await create();
    expect([again.status, again.body.id, again.headers['idempotency-replayed']]).toEqual([201, id, 'true']);
    expect(stage.calls(team, 'POST', CALLS[path])).toHaveLength(1);
  });

  it('should fail unsent under strict handling, and leave its key free', async () => {
    const team = await stage.team();
    const { id, create } = await unheard(team, { 'idempotency-key': 'k', prefer: 'handling=strict' });
    const row = await stage.untilRow(id, ({ status }) => status !== 'submitting');
    expect([row.status, row.error?.code]).toEqual(['failed', 'upstream_unreachable']);
    expect(stage.calls(team, 'POST', CALLS[path])).toHaveLength(0);
    const again = await create();
    expect([again.status, again.body.id === id]).toEqual([201, false]);
    expect(await stage.rowsOf(team)).toHaveLength(2);
  });
});
