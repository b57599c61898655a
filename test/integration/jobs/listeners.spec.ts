import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { eventually } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

const stage = useStage({ env: { TENSORPIX_TIMEOUT_MS: '15000' }, simulator: { queueMs: 3_600_000 } });

async function endpoint(team: Team, events: string[]): Promise<string> {
  const url = `${stage.receiver.url}/${events.join('-')}`;
  const created = await request(stage.gateway.url).post('/v1/webhook-endpoints').set(team.auth).send({ url, events });
  expect(created.status).toBe(201);
  return (created.body as { id: string }).id;
}

/** What the job's webhooks were written for: its own URL, or an endpoint. */
async function receiversOf(id: string): Promise<string[]> {
  const rows = await stage.sql<{ receiver: string }>(
    `select event_type || ' for ' || coalesce(endpoint_id::text, 'callback') as receiver
       from webhook_deliveries where job_id = $1 order by 1`,
    [id],
  );
  return rows.map(({ receiver }) => receiver);
}

async function created(team: Team, fields: object = {}): Promise<string> {
  const response = await stage.video(team, fields);
  expect(response.status).toBe(201);
  return idOf(response);
}

describe('a change that nobody was known to listen to', () => {
  it('should be written once, and bring no webhook, when there is no receiver', async () => {
    const id = await created(await stage.team());
    expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.queued']);
    expect(await receiversOf(id)).toEqual([]);
  });

  it('should bring its webhook to an endpoint that was added since the last one', async () => {
    const team = await stage.team();
    const before = await created(team);
    const listener = await endpoint(team, ['job.queued']);
    const after = await created(team);
    expect(await receiversOf(before)).toEqual([]);
    expect(await receiversOf(after)).toEqual([`job.queued for ${listener}`]);
    expect(await stage.eventTypes(after)).toEqual(['job.submitting', 'job.queued']);
  });

  it('should bring its webhook to an endpoint that was added while TensorPix worked on the call', async () => {
    const team = await stage.team();
    stage.fault(team, { kind: 'slow', delay_ms: 2_500 }, { times: 1 });
    const creating = created(team);
    await eventually(
      () => stage.creates(team),
      (creates) => creates === 1,
    );
    const listener = await endpoint(team, ['job.queued']);
    expect(await receiversOf(await creating)).toEqual([`job.queued for ${listener}`]);
  });

  it('should bring no webhook to an endpoint that asks for others, nor to one that is gone', async () => {
    const team = await stage.team();
    await endpoint(team, ['job.finished']);
    const gone = await endpoint(team, ['job.queued']);
    await request(stage.gateway.url).delete(`/v1/webhook-endpoints/${gone}`).set(team.auth);
    expect(await receiversOf(await created(team))).toEqual([]);
  });

  it("should bring every receiver its own when it shares a statement with others' changes", async () => {
    const [silent, standing, calling] = [await stage.team(), await stage.team(), await stage.team()];
    const listener = await endpoint(standing, ['job.queued']);
    const rounds = Array.from({ length: 5 }, () => [
      created(silent),
      created(standing),
      created(calling, stage.callback),
    ]);
    const ids = await Promise.all(rounds.map((round) => Promise.all(round)));
    for (const [nobody = '', endpoints = '', own = ''] of ids) {
      expect(await receiversOf(nobody)).toEqual([]);
      expect(await receiversOf(endpoints)).toEqual([`job.queued for ${listener}`]);
      expect(await receiversOf(own)).toEqual(['job.queued for callback']);
    }
  });
});
