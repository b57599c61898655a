import { describe, expect, it } from '@jest/globals';
import { JobsPoller } from '../../../src/modules/jobs/polling/jobs.poller.js';
import { idOf, useStage, type Team } from '../../support/stage.js';

/** No loop runs: a look happens when a test ticks. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api' }, simulator: { queueMs: 0, durationMs: 3_600_000 } });
const LIST = '/api/jobs/$';

async function look(): Promise<void> {
  await stage.makeLooksDue();
  const poller = stage.gateway.app.get(JobsPoller, { strict: false });
  await poller.tick();
  await poller.drain();
}

/** Three jobs that TensorPix is processing; their ids there. */
async function jobs(team: Team): Promise<number[]> {
  const made = await Promise.all([1, 2, 3].map(() => stage.video(team)));
  return Promise.all(made.map(async (answer) => Number((await stage.row(idOf(answer))).tensorpix_id)));
}

function entry(id: number, fields: object = {}): object {
  const shown = { status: 1, processing_progress: 0.2, eta_s: 60, cost_usd: '1.0000', output_video: null };
  return { id, ...shown, started: '2026-11-20T09:00:00Z', ...fields };
}

function page(results: unknown, fields: object = {}): object {
  return { count: 3, next: null, previous: null, results, ...fields };
}

const OUTPUT = { id: 5, file: 'https://results.example.com/out.mp4', width: 1, height: 1, size: 1, thumbnail: null };

describe('a list that TensorPix answers oddly', () => {
  it.each<[string, (ids: number[], foreign: number) => unknown]>([
    ['empty for a moment', () => page([], { count: 0 })],
    [
      'a count that lies',
      (ids) =>
        page(
          ids.map((id) => entry(id)),
          { count: -7 },
        ),
    ],
    [
      'a next on another host',
      (ids) =>
        page(
          ids.map((id) => entry(id)),
          { next: 'http://169.254.169.254/?offset=3' },
        ),
    ],
    ['jobs twice, out of order', (ids) => page([...ids, ...ids].reverse().map((id) => entry(id)))],
    ["another's jobs, which have ended", (_, foreign) => page([entry(foreign, { status: 2, output_video: OUTPUT })])],
    ['unknown statuses', (ids) => page(ids.map((id, i) => entry(id, { status: [7, -9, 'Paused'][i] })))],
    ['statuses of no kind', (ids) => page(ids.map((id, i) => entry(id, { status: [null, {}, [2]][i] })))],
    [
      'statuses as words',
      (ids) => page(ids.map((id, i) => entry(id, { status: ['1', 'Processing', 'processing'][i] }))),
    ],
    ['progress beyond 1', (ids) => page(ids.map((id, i) => entry(id, { processing_progress: [7, -1, 'half'][i] })))],
    ['an ETA of no kind', (ids) => page(ids.map((id, i) => entry(id, { eta_s: [-5, 'NaN', 1e300][i] })))],
    ['times in the future', (ids) => page(ids.map((id) => entry(id, { started: '2999-01-01T00:00:00Z' })))],
    ['ids of no kind', () => page([entry(NaN), entry(-1), { ...entry(1), id: '5' }, null, 5, 'x', []])],
    ['results of no kind', () => page('none')],
    ['no page at all', () => [1, 2, 3]],
    ['2 MB', (ids) => page(ids.map((id) => entry(id, { padding: 'x'.repeat(700_000) })))],
    ['9 MB', (ids) => page(ids.map((id) => entry(id, { padding: 'x'.repeat(3_000_000) })))],
  ])('should end no job, and not keep the next look from seeing them: %s', async (_, body) => {
    const [team, other] = [await stage.team(), await stage.team()];
    const [ids, foreign] = [await jobs(team), await jobs(other)];
    const match = { path: LIST, token: team.token };
    stage.simulator.control.addFault({ match, fault: { kind: 'body', body: body(ids, foreign[0] ?? 0) } });
    for (let looks = 0; looks < 3; looks += 1) await look();
    for (const row of [...(await stage.rowsOf(team)), ...(await stage.rowsOf(other))]) {
      expect(['queued', 'processing']).toContain(row.status);
      expect(row.progress ?? 0).toBeLessThanOrEqual(1);
      await stage.events(row.id);
    }

    stage.simulator.control.clearFaults();
    await stage.sql('update tenant_paces set rest_until = null');
    for (const id of [...ids, ...foreign]) stage.simulator.control.changeJob(id, { status: 2 });
    await look();
    for (const row of [...(await stage.rowsOf(team)), ...(await stage.rowsOf(other))])
      expect(row).toMatchObject({ status: 'finished', output: { url: expect.stringMatching(/^http/) } });
  });

  it('should take a cost that changes as it is, and none as no news', async () => {
    const team = await stage.team();
    const ids = await jobs(team);
    const costs = async () =>
      (
        await stage.sql<{ cost: string }>('select cost_credits::text as cost from jobs where tenant_id = $1', [team.id])
      ).map(({ cost }) => cost);
    for (const [shown, expected] of [
      ['2.5000', '2.5000'],
      [null, '2.5000'],
      ['much', '2.5000'],
      ['0.1000', '0.1000'],
    ] as const) {
      const body = page(ids.map((id) => entry(id, { cost_usd: shown })));
      stage.simulator.control.addFault({ match: { path: LIST, token: team.token }, fault: { kind: 'body', body } });
      await look();
      stage.simulator.control.clearFaults();
      expect(await costs()).toEqual([expected, expected, expected]);
    }
  });
});
