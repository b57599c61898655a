import { describe, expect, it } from '@jest/globals';
import { ListSweep, planLook, type ListKnowledge, type LookPlan } from '../../../src/modules/jobs/polling/look-plan.js';

describe('the plan of a look', () => {
  it.each<[string, number, Parameters<typeof planLook>[1], LookPlan['by']]>([
    ['one job', 1, null, 'id'],
    ['two jobs, of which nothing is known', 2, null, 'list'],
    ['three jobs that stand far apart', 3, { pageSize: 100, from: 0, pages: 3 }, 'id'],
    ['four jobs that stand far apart', 4, { pageSize: 100, from: 0, pages: 3 }, 'list'],
    ['more than may be asked for by id', 21, { pageSize: 100, from: 0, pages: 50 }, 'list'],
    ['pages of one job', 15, { pageSize: 1, from: 0, pages: 1 }, 'id'],
  ])('should take the cheaper way: %s', (_, active, known, by) => {
    expect(planLook(active, known).by).toBe(by);
  });
});

/** A list with jobs of ours at these places, read to the end of the sweep. Returns the pages read, and what was not seen. */
function read(size: number, ours: number[], from: number, pageSize = 10, maxPages = 100) {
  const sweep = new ListSweep({ from, maxPages, pageSize });
  const unseen = new Set(ours);
  const offsets: number[] = [];
  for (let offset = sweep.next; offset !== null; offset = sweep.next) {
    offsets.push(offset);
    const entries = Math.max(0, Math.min(pageSize, size - offset));
    const found = [...unseen].filter((place) => place >= (offset ?? 0) && place < (offset ?? 0) + entries);
    for (const place of found) unseen.delete(place);
    sweep.read({ entries, hasNext: offset + entries < size, found: found.length }, unseen.size);
  }
  return { offsets, unseen: unseen.size, knowledge: sweep.knowledge };
}

describe('a sweep', () => {
  it('should end with the page on which the last one stands', () => {
    expect(read(1_000, [3, 15, 27], 0).offsets).toEqual([0, 10, 20]);
  });

  it('should begin where they stood, and wrap around for what has moved', () => {
    const { offsets, unseen, knowledge } = read(100, [75, 82, 5, 6], 70);
    expect([offsets, unseen]).toEqual([[70, 80, 90, 0], 0]);
    expect(knowledge).toEqual({ pageSize: 10, from: 0, pages: 4 });
  });

  it('should look for new ones at the beginning before it reads a long history', () => {
    const [fresh, older] = [0, 100].map((at) => Array.from({ length: 50 }, (_, i) => at + i));
    const { offsets, unseen, knowledge } = read(10_000, [...(fresh ?? []), ...(older ?? [])], 100, 100);
    expect([offsets, unseen]).toEqual([[100, 200, 300, 0], 0]);
    expect(knowledge?.from).toBe(0);
  });

  it('should read on after the beginning for what was not found there', () => {
    const ours = Array.from({ length: 80 }, (_, i) => (i < 20 ? 500 + i : 680 + i));
    const { offsets, unseen } = read(1_000, ours, 500);
    expect([offsets.slice(0, 5), offsets.slice(53, 56), unseen]).toEqual([[500, 510, 520, 530, 0], [490, 540, 550], 0]);
  });

  it('should not read on when asking for the rest by id is cheaper', () => {
    expect(read(10_000, [1, 2, 5_000, 5_001], 0).offsets).toEqual([0, 10, 20]);
  });

  it('should read the whole list for many, once', () => {
    const ours = Array.from({ length: 50 }, (_, i) => i * 20 + 1);
    expect(read(1_000, [...ours, -1, -2], 500)).toMatchObject({ unseen: 2, offsets: { length: 100 } });
  });

  it('should go on next time where it found nothing', () => {
    const ours = [2_500, 2_501, 2_502];
    const first = read(10_000, ours, 0, 100);
    expect([first.offsets.length, first.unseen, first.knowledge]).toEqual([
      3,
      3,
      { pageSize: 100, from: 300, pages: 3 },
    ]);
    const sweep = new ListSweep({ from: 300, maxPages: 100, pageSize: 100 });
    sweep.read({ entries: 100, hasNext: true, found: 0 }, 3);
    sweep.stop();
    expect([sweep.next, sweep.knowledge]).toEqual([null, { pageSize: 100, from: 400, pages: 1 }]);
  });

  it('should not take the last page for the size of all', () => {
    const { knowledge } = read(3, [0, 1], 0, 100);
    expect(knowledge).toEqual({ pageSize: 100, from: 0, pages: 1 });
    expect(planLook(20, knowledge).by).toBe('list');
  });

  it('should be taken as it is when it was over before it was stopped', () => {
    const sweep = new ListSweep({ from: 0, maxPages: 100, pageSize: 100 });
    sweep.read({ entries: 100, hasNext: true, found: 2 }, 0);
    sweep.stop();
    expect(sweep.knowledge).toEqual({ pageSize: 100, from: 0, pages: 1 });
  });

  it('should go on next time where its bound was', () => {
    const ours = Array.from({ length: 100 }, (_, i) => i * 20);
    const first = read(2_000, ours, 0, 10, 7);
    expect(first.knowledge).toEqual({ pageSize: 10, from: 70, pages: 7 });
    const second = read(
      2_000,
      ours.filter((place) => place >= 70),
      70,
      10,
      7,
    );
    expect(second.offsets).toEqual([70, 80, 90, 100, 110, 120, 130]);
  });

  it('should step over a page that cannot be read, and give up a list of which several cannot', () => {
    const sweep = new ListSweep({ from: 0, maxPages: 100, pageSize: 50 });
    sweep.skip();
    expect(sweep.next).toBe(50);
    sweep.read({ entries: 20, hasNext: true, found: 1 }, 5);
    expect(sweep.next).toBe(70);
    sweep.skip();
    expect(sweep.next).toBe(90);
    sweep.skip();
    expect([sweep.next, sweep.knowledge]).toEqual([null, { pageSize: 20, from: 110, pages: 4 }]);
    const nothing = new ListSweep({ from: 70, maxPages: 100, pageSize: 50 });
    for (let i = 0; i < 3; i += 1) nothing.skip();
    expect([nothing.next, nothing.knowledge]).toEqual([null, null]);
  });

  it('should be bounded', () => {
    expect(
      read(
        100_000,
        Array.from({ length: 100 }, (_, i) => i * 1_000),
        0,
        10,
        7,
      ).offsets,
    ).toHaveLength(7);
  });

  it('should end with a list that is empty, or shorter than it was, and learn nothing from it', () => {
    expect(read(0, [1, 2, 3], 0)).toMatchObject({ offsets: [0], knowledge: null });
    expect(read(0, [1, 2, 3], 500)).toMatchObject({ offsets: [500, 0], knowledge: null });
    expect(read(30, [1, 2, 3], 500)).toMatchObject({ offsets: [500, 0], unseen: 0 });
  });

  it('should learn how many entries a page really has', () => {
    expect(read(100, [1, 12, 23, 34], 0, 5).knowledge).toEqual({ pageSize: 5, from: 0, pages: 5 });
  });
});

/**
 * Looks one after another, each with what the one before has learned and cut off after so many pages, until each job was seen.
 * Returns how many that took; more than a hundred is never.
 */
function looksUntilAllSeen(size: number, ours: number[], cutAfter = Infinity, pageSize = 100): number {
  const left = new Set(ours);
  let known: ListKnowledge | null = null;
  for (let looks = 1; looks <= 100; looks += 1) {
    const plan = planLook(ours.length, known);
    if (plan.by === 'id') throw new Error('these are for the list');
    const sweep = new ListSweep(plan);
    const unseen = new Set(ours);
    for (let offset = sweep.next, pages = 1; offset !== null; offset = sweep.next, pages += 1) {
      const entries = Math.max(0, Math.min(pageSize, size - offset));
      const [first, beyond] = [offset, offset + entries];
      const found = [...unseen].filter((place) => place >= first && place < beyond);
      for (const place of found) for (const jobs of [unseen, left]) jobs.delete(place);
      sweep.read({ entries, hasNext: beyond < size, found: found.length }, unseen.size);
      if (pages >= cutAfter) sweep.stop();
    }
    if (left.size === 0) return looks;
    known = sweep.knowledge ?? known;
  }
  return Infinity;
}

describe('sweeps one after another', () => {
  const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

  it.each<[string, number, number[], number]>([
    ['behind 20,000 that have ended, oldest first', 20_080, range(20_000, 80), 8],
    ['ten thousand behind 50,000', 60_000, range(50_000, 10_000), 4],
    ['behind one that hangs near the beginning', 31_000, [1_000, ...range(30_000, 100)], 12],
    ['new ones at the beginning', 50_000, range(0, 300), 1],
  ])('should come to every job: %s', (_, size, ours, most) => {
    expect(looksUntilAllSeen(size, ours)).toBeLessThanOrEqual(most);
  });

  it('should come to every job although TensorPix throttles each of them', () => {
    // Pages of ten, and twenty calls a look.
    expect(looksUntilAllSeen(5_000, range(0, 300), 20, 10)).toBeLessThanOrEqual(3);
    expect(looksUntilAllSeen(5_000, range(1_000, 300), 20, 10)).toBeLessThanOrEqual(10);
  });
});
