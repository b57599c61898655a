import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { eventually } from '../../support/gateway.js';
import { useStage, type Team } from '../../support/stage.js';
import { JOBS, LIST, look, pagesOf, singlesOf, upstreamId, videos } from './looks.js';

/** No loop runs: a look happens when a test ticks. */
const stage = useStage({
  env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '2500' },
  simulator: { queueMs: 3_600_000, durationMs: 3_600_000, pageMax: 10 },
});

afterEach(() => {
  jest.restoreAllMocks();
});

/** The list answers as it does for so many pages, and then with a fault. */
function failAfter(team: Team, pages: number, fault: Parameters<typeof stage.fault>[1], times = 1): void {
  stage.fault(team, { kind: 'slow', delay_ms: 0 }, { match: LIST, times: pages });
  stage.fault(team, fault, { match: LIST, times });
}

async function finish(id: string): Promise<void> {
  stage.simulator.control.changeJob(await upstreamId(stage, id), { status: 2 });
}

async function endLooks(): Promise<void> {
  await stage.gateway.app.get(JobsPoller, { strict: false }).drain();
}

/** The clock of the process goes forward. */
function skipTime(ms: number): void {
  const now = performance.now.bind(performance);
  jest.spyOn(performance, 'now').mockImplementation(() => now() + ms);
}

describe('a look that TensorPix throttles', () => {
  it('should be gone on with where it was cut short', async () => {
    const team = await stage.team();
    await videos(stage, team, 40);
    failAfter(team, 2, { kind: 'rate_limited', retry_after_s: 1 });
    await look(stage);
    expect(pagesOf(stage, team)).toEqual([0, 10, 20]);
    await stage.sql(`update tenant_paces set rest_until = now() - interval '1 minute' where tenant_id = $1`, [team.id]);
    await look(stage);
    expect(pagesOf(stage, team).slice(3)).toEqual([20, 30, 0, 10]);
  });
});

describe('a look at a list of which TensorPix cannot give a page', () => {
  it('should step over that page, and ask by id for what stands on it', async () => {
    const team = await stage.team();
    const ids = await videos(stage, team, 30);
    for (const id of ids) await finish(id);
    failAfter(team, 1, { kind: 'body', status: 500, body: 'one record is broken' });
    await look(stage);
    expect(pagesOf(stage, team)).toEqual([0, 10, 20]);
    expect((await stage.rowsOf(team)).filter(({ status }) => status === 'finished')).toHaveLength(30);
  });

  it.each([
    ['500', { kind: 'server_error' }],
    ['403', { kind: 'forbidden' }],
    ['a 404 of a proxy', { kind: 'body', status: 404, body: '<html>' }],
    ['what is no JSON', { kind: 'body', status: 200, body: '{"count":1,"results":[{"id":1,"eta_s":NaN}]}' }],
  ] as const)('should go by id while it gives none at all: %s', async (_, fault) => {
    const team = await stage.team();
    const ids = await videos(stage, team, 4);
    stage.fault(team, fault, { match: LIST });
    for (const id of ids) await finish(id);
    await look(stage);
    expect((await stage.rowsOf(team)).map(({ status }) => status)).toEqual(Array(4).fill('finished'));
  });

  it('should ask no further when TensorPix gives single jobs as little', async () => {
    const team = await stage.team();
    await videos(stage, team, 10);
    stage.fault(team, 'server_error', { match: JOBS });
    await look(stage);
    expect([pagesOf(stage, team).length, singlesOf(stage, team)]).toEqual([3, 1]);
  });
});

describe('a look that takes long', () => {
  it('should have calls left for what only those by id can show', async () => {
    const team = await stage.team();
    await videos(stage, team, 40);
    stage.fault(team, { kind: 'slow', delay_ms: 500 }, { match: LIST });
    await stage.makeLooksDue();
    await stage.gateway.app.get(JobsPoller, { strict: false }).tick();
    await eventually(
      () => pagesOf(stage, team).length,
      (pages) => pages === 1,
    );
    skipTime(90_000);
    await endLooks();
    expect([pagesOf(stage, team), singlesOf(stage, team)]).toEqual([[0], 3]);
  });

  it('should not spend it all on cancels', async () => {
    const team = await stage.team();
    const ids = await videos(stage, team, 4);
    await stage.sql('update jobs set cancel_requested_at = now() where id = any($1)', [ids]);
    stage.fault(team, { kind: 'slow', delay_ms: 500 }, { match: { method: 'DELETE', path: '/api/jobs/' } });
    const cancels = () => stage.calls(team, 'DELETE').length;
    await stage.makeLooksDue();
    await stage.gateway.app.get(JobsPoller, { strict: false }).tick();
    await eventually(cancels, (made) => made === 1);
    skipTime(20_000);
    await endLooks();
    expect([cancels(), pagesOf(stage, team)]).toEqual([1, [0]]);
  });
});

describe('looks that were claimed together', () => {
  it('should each prolong its own claim while it goes on', async () => {
    const teams = [await stage.team(), await stage.team()];
    for (const team of teams) {
      await videos(stage, team, 101);
      stage.fault(team, { kind: 'slow', delay_ms: 1_000 }, { match: JOBS });
    }
    const expiries = () =>
      stage.sql<{ tenant_id: string; at: Date }>(
        `select tenant_id, poll_lease_expires_at as at from tenant_paces where tenant_id = any($1) order by tenant_id`,
        [teams.map(({ id }) => id)],
      );
    const pagesAsked = (count: number) =>
      eventually(
        () => teams.map((team) => pagesOf(stage, team).length),
        (asked) => asked.every((pages) => pages >= count),
      );
    await stage.makeLooksDue();
    const poller = stage.gateway.app.get(JobsPoller, { strict: false });
    await poller.tick();
    await pagesAsked(1);
    const claimed = await expiries();
    const now = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => now() + 15_200);
    try {
      await pagesAsked(2);
      await eventually(expiries, (renewed) =>
        renewed.every(({ at }, i) => at.getTime() > (claimed[i]?.at.getTime() ?? Infinity)),
      );
    } finally {
      jest.restoreAllMocks();
    }
    // What is left of the looks need not be slow.
    stage.simulator.control.clearFaults();
    await poller.drain();
  });
});
