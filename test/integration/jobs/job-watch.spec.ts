import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { openEvents, type EventReader } from '../../support/event-reader.js';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { idOf, useStage, type Team } from '../../support/stage.js';
import { startStatementRelay, type SentStatement, type StatementRelay } from '../../support/statement-relay.js';

/** Nothing runs beside those who wait, and what they ask of the database is seen on the wire. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' }, simulator: { queueMs: 3_600_000 } });
let relay: StatementRelay;
let gateway: Gateway;

beforeAll(async () => {
  relay = await startStatementRelay(stage.databaseUrl);
  gateway = await startGateway(relay.url, stage.simulator.url, { GATEWAY_ROLE: 'api' });
});

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
});

function rounds(): SentStatement[] {
  return relay.sent.filter(({ sql }) => sql.includes('as watched('));
}

function hurries(): number {
  return relay.sent.filter(({ sql }) => sql.includes('set hurried_until')).length;
}

/** A wait that is there once it has been seen to be asked for. */
async function waitFor(team: Team, id: string): Promise<{ answered: Promise<Record<string, unknown>> }> {
  const waiting = request(gateway.url).get(`/v1/jobs/${id}`).set(team.auth).set('prefer', 'wait=60');
  const answered = waiting.then(({ body }) => body as Record<string, unknown>);
  await eventually(rounds, (all) => all.at(-1)?.parameters.includes(id) ?? false);
  return { answered };
}

async function fail(id: string): Promise<void> {
  await stage.sql(`update jobs set status = 'failed', finished_at = now(), sequence = sequence + 1 where id = $1`, [
    id,
  ]);
}

describe('whoever waits for jobs in a process', () => {
  it('should share one statement, about twice a second, and none when nobody waits', async () => {
    const [team, other] = [await stage.team(), await stage.team()];
    const jobs = await Promise.all(
      [team, team, other, other].map(async (of) => ({ of, id: idOf(await stage.video(of)) })),
    );
    const idle = rounds().length;
    const readers: EventReader[] = [];
    const openedAtMs = performance.now();
    for (const { of, id } of [...jobs, ...jobs, ...jobs, ...jobs])
      readers.push(await openEvents(`${gateway.url}/v1/jobs/${id}/events`, of.auth));
    const waits = await Promise.all(jobs.map(({ of, id }) => waitFor(of, id)));
    const before = rounds().length;
    const beganMs = performance.now();
    await eventually(
      () => rounds().length - before,
      (count) => count >= 4,
    );
    const most = (performance.now() - beganMs) / 500 + 1;
    expect(rounds().length - before).toBeLessThanOrEqual(most);
    const { sql, parameters } = rounds().at(-1) as SentStatement;
    expect(sql).toMatch(/where j\.tenant_id = watched\.tenant_id/);
    for (const { of, id } of jobs) {
      expect(parameters.split(id)).toHaveLength(2);
      expect(parameters).toContain(of.id);
    }
    // Sixteen streams and four waits of jobs at TensorPix: two tenants are hurried, again after ten seconds, and each wait
    // says for how long.
    const times = 1 + Math.floor((performance.now() - openedAtMs) / 10_000);
    expect(hurries()).toBeGreaterThanOrEqual(2 + 4);
    expect(hurries()).toBeLessThanOrEqual(2 * times + 4);
    await Promise.all(jobs.map(({ id }) => fail(id)));
    expect((await Promise.all(waits.map(({ answered }) => answered))).map(({ status }) => status)).toEqual(
      jobs.map(() => 'failed'),
    );
    for (const reader of readers) reader.hangUp();
    await eventually(
      async () => (await request(gateway.url).get('/metrics')).text,
      (text) => text.includes('\ngateway_event_streams 0\n'),
    );
    const last = rounds().length;
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(rounds().length - last).toBeLessThanOrEqual(1);
    expect(idle).toBe(0);
  });
});

describe('Prefer: wait', () => {
  it('should be answered with a change of state or reason, and not with an event or progress', async () => {
    const team = await stage.team();
    const id = idOf(await stage.video(team));
    const { answered } = await waitFor(team, id);
    await stage.sql('update jobs set progress = 0.5, sequence = sequence + 1 where id = $1', [id]);
    const seen = rounds().length;
    await eventually(rounds, (all) => all.length >= seen + 2);
    await stage.sql(`update jobs set status = 'processing', sequence = sequence + 1 where id = $1`, [id]);
    expect(await answered).toMatchObject({ status: 'processing', progress: 0.5 });
  });

  it('should be over after its time, and be a 404 when the job is gone', async () => {
    const team = await stage.team();
    const id = idOf(await stage.video(team));
    const short = await request(gateway.url).get(`/v1/jobs/${id}`).set(team.auth).set('prefer', 'wait=1');
    expect([short.status, (short.body as { status: string }).status]).toEqual([200, 'queued']);
    const { answered } = await waitFor(team, id);
    await stage.sql('delete from jobs where id = $1', [id]);
    expect(await answered).toMatchObject({ status: 404, code: 'not_found' });
  });
});
