import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RankedList } from '../../simulator/ranked-list.js';
import { startSimulator, type Simulator } from '../../simulator/simulator.js';

interface Page {
  count: number;
  next: string | null;
  previous: string | null;
  results: { id: number; status: number }[];
}

const JOBS = 100_000;
let simulator: Simulator;
let firstId: number;

beforeAll(async () => {
  simulator = await startSimulator({ frozenClock: true });
  firstId = simulator.control.seed({ token: 'demo-token', jobs: JOBS, status: 1 }).first_id;
});
afterAll(async () => {
  await simulator.close();
});

async function call(path: string, method = 'GET'): Promise<Response> {
  return fetch(new URL(path, simulator.url), { method, headers: { authorization: 'Token demo-token' } });
}

async function page(path: string): Promise<Page> {
  return (await call(path)).json() as Promise<Page>;
}

describe('limit and offset with 100,000 jobs', () => {
  it('should give the newest first, with absolute links', async () => {
    const first = await page('/api/jobs/?limit=3');
    expect(first.count).toBe(JOBS);
    expect(first.results.map((job) => job.id)).toEqual([3, 2, 1].map((n) => firstId + JOBS - 4 + n));
    expect(first.next).toBe(`${simulator.url}/api/jobs/?limit=3&offset=3`);
    expect(first.previous).toBeNull();
  });

  it('should reach the end, and answer an offset behind it with an empty page', async () => {
    const last = await page(`/api/jobs/?limit=10&offset=${JOBS - 5}`);
    expect(last.results.map((job) => job.id)).toEqual([4, 3, 2, 1, 0].map((n) => firstId + n));
    expect(last.next).toBeNull();
    expect(last.previous).toBe(`${simulator.url}/api/jobs/?limit=10&offset=${JOBS - 15}`);
    expect((await page(`/api/jobs/?offset=${JOBS}`)).results).toEqual([]);
  });

  it('should cut the limit to the page maximum and take bad values for absent', async () => {
    expect((await page('/api/jobs/?limit=5000')).results).toHaveLength(100);
    for (const query of ['limit=0', 'limit=-1', 'limit=x', 'offset=-4', '']) {
      expect((await page(`/api/jobs/?${query}`)).results).toHaveLength(20);
    }
  });

  it('should show every job exactly once when the links are followed', async () => {
    const ids = new Set<number>();
    let pages = 0;
    for (let next: string | null = '/api/jobs/?limit=100'; next !== null; pages++) {
      const current: Page = await page(next);
      for (const job of current.results) ids.add(job.id);
      next = current.next;
    }
    expect([pages, ids.size, Math.min(...ids), Math.max(...ids)]).toEqual([1_000, JOBS, firstId, firstId + JOBS - 1]);
  });

  it('should find, cancel and hide jobs in the middle, with right counts', async () => {
    const id = firstId + 50_000;
    expect((await page(`/api/jobs/${id}/`)) as unknown).toMatchObject({ id, status: 1 });
    expect((await call(`/api/jobs/${id}/`, 'DELETE')).status).toBe(204);
    simulator.control.changeJob(id + 1, { behavior: 'unlisted' });
    const account = simulator.control.summary().accounts[0];
    expect(account).toMatchObject({ jobs_seeded: JOBS, jobs_active: JOBS - 1, jobs_ended: 1 });
    const middle = await page(`/api/jobs/?limit=3&offset=${JOBS - 50_003}`);
    expect(middle.count).toBe(JOBS - 1);
    expect(middle.results.map((job) => [job.id, job.status])).toEqual([
      [id + 2, 1],
      [id, -2],
      [id - 1, 1],
    ]);
  });

  it('should end all of them when their time is over, and list their outputs', async () => {
    simulator.control.advanceClock(60_000);
    expect(simulator.control.summary().accounts[0]).toMatchObject({ jobs_active: 0, jobs_ended: JOBS });
    const outputs = await page('/api/restored-videos/?limit=100');
    expect([outputs.count, outputs.results.length]).toEqual([JOBS - 1, 100]);
  });
});

describe('numbered pages', () => {
  it('should page the AI filters by page and page_size, and answer a page too many with 404', async () => {
    const second = await page('/api/ml-models/?page=2&page_size=15');
    expect([second.count, second.results.length, second.next]).toEqual([21, 6, null]);
    expect(second.previous).toBe(`${simulator.url}/api/ml-models/?page_size=15`);
    expect((await call('/api/ml-models/?page=3&page_size=15')).status).toBe(404);
  });
});

describe('the list behind the pages', () => {
  it('should do the same as a plain array, whatever is added, hidden and shown', () => {
    const step = fc.oneof(fc.constant('push' as const), fc.tuple(fc.nat(60), fc.boolean()));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.nat(20), fc.nat(20), (steps, offset, limit) => {
        const list = new RankedList<number>();
        const model: boolean[] = [];
        for (const entry of steps) {
          if (entry === 'push') {
            expect(list.push(model.length)).toBe(model.length);
            model.push(true);
          } else if (entry[0] < model.length) {
            list.setVisible(entry[0], entry[1]);
            model[entry[0]] = entry[1];
          } else {
            list.setVisible(entry[0], entry[1]);
          }
        }
        const visible = model.flatMap((shown, slot) => (shown ? [slot] : [])).reverse();
        expect(list.count).toBe(visible.length);
        expect(list.page(offset, limit)).toEqual(visible.slice(offset, offset + limit));
      }),
    );
  });
});
