import { describe, expect, it } from '@jest/globals';
import { DatabaseTime } from '../../../src/common/time/database-time.js';
import { ListInterrupted, readWholeList, type PageCall } from '../../../src/modules/jobs/reconciliation/list-reader.js';
import type { UpstreamPage } from '../../../src/modules/tensorpix/answers.js';
import type { CallOutcome, Refusal, RefusalReason } from '../../../src/modules/tensorpix/call-outcome.js';
import { T0 } from '../../support/job-records.js';

interface Item {
  id: number;
}

type Page = UpstreamPage<Item>;

const always = (): Promise<boolean> => Promise.resolve(true);

function page(ids: number[], count: number | null, hasNext = false, entries = ids.length): Page {
  return { count, hasNext, entries, items: ids.map((id) => ({ id })) };
}

/** Answers page after page; the last one again and again. */
function pages(...all: Page[]): { call: PageCall<Item>; asked: [number, number][] } {
  const asked: [number, number][] = [];
  const call: PageCall<Item> = (limit, offset) => {
    asked.push([limit, offset]);
    return Promise.resolve({ kind: 'ok', value: all[Math.min(asked.length, all.length) - 1] as Page });
  };
  return { call, asked };
}

/** A list as it is at each request. */
function listAt(states: number[][]): PageCall<Item> {
  let asked = 0;
  return (limit, offset) => {
    const ids = states[Math.min(asked, states.length - 1)] as number[];
    asked += 1;
    const value = page(ids.slice(offset, offset + limit), ids.length, offset + limit < ids.length);
    return Promise.resolve({ kind: 'ok', value });
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function read(call: PageCall<Item>) {
  return readWholeList(call, new DatabaseTime(T0), always);
}

function idsOf({ entries }: { entries: { item: Item }[] }): number[] {
  return entries.map(({ item }) => item.id).sort((a, b) => a - b);
}

describe('a list that is read whole', () => {
  it('should be complete when it is empty and says so', async () => {
    const { call, asked } = pages(page([], 0));
    expect(await read(call)).toEqual({ entries: [], complete: true });
    expect(asked).toEqual([[100, 0]]);
  });

  it('should be complete with all of its pages', async () => {
    const list = await read(listAt([range(1, 250)]));
    expect([list.complete, idsOf(list)]).toEqual([true, range(1, 250)]);
  });

  it('should be complete when its pages are shorter than asked for', async () => {
    const { call, asked } = pages(page([1, 2], 5, true), page([3, 4], 5, true), page([5], 5));
    const list = await read(call);
    expect([list.complete, idsOf(list)]).toEqual([true, [1, 2, 3, 4, 5]]);
    expect(asked).toEqual([
      [100, 0],
      [100, 2],
      [100, 4],
    ]);
  });

  it("should tell how far TensorPix's clock is off, answer by answer", async () => {
    let asked = 0;
    const call: PageCall<Item> = () => {
      asked += 1;
      const date = asked === 1 ? new Date(T0.getTime() - 300_000) : new Date(T0.getTime() + 60_000);
      return Promise.resolve({ kind: 'ok', value: page([asked], 2, asked === 1), ...(asked < 3 && { date }) });
    };
    const { entries } = await read(call);
    const offsets = entries.map(({ clockOffsetMs }) => Math.round((clockOffsetMs ?? 0) / 10_000) * 10_000);
    expect(offsets).toEqual([300_000, -60_000]);
  });

  it("should take the database's clock for ahead by as long as the statement took that told it", async () => {
    const call: PageCall<Item> = () => Promise.resolve({ kind: 'ok', value: page([1], 1), date: T0 });
    const time = new DatabaseTime(T0, performance.now() - 4_000);
    const { entries } = await readWholeList(call, time, always);
    expect(entries[0]?.clockOffsetMs).toBeGreaterThanOrEqual(4_000);
  });

  it('should not know the times of an answer without a date', async () => {
    const { entries } = await read(pages(page([1], 1)).call);
    expect(entries).toEqual([{ item: { id: 1 }, clockOffsetMs: null }]);
  });
});

describe('a list that is not whole', () => {
  it.each<[string, Page[], number[]]>([
    ['a count too high', [page([1, 2], 3)], [1, 2]],
    ['a count too low', [page([1, 2], 1)], [1, 2]],
    ['a count of zero with entries', [page([1], 0)], [1]],
    ['no entries with a count', [page([], 5)], []],
    ['a negative count', [page([], -1)], []],
    ['no count', [page([1], null)], [1]],
    ['no count of an empty list', [page([], null)], []],
    ['a count that changes', [page([1, 2], 4, true), page([3, 4], 5)], [1, 2, 3, 4]],
    ['a count that comes late', [page([1, 2], null, true), page([3, 4], 4)], [1, 2, 3, 4]],
    ['a count that goes', [page([1, 2], 4, true), page([3, 4], null)], [1, 2, 3, 4]],
    ['a duplicate on a page', [page([1, 2, 2], 3)], [1, 2]],
    ['a duplicate over pages', [page([1, 2], 4, true), page([2, 3], 4)], [1, 2, 3]],
    ['an entry that cannot be read', [page([1, 3], 3, false, 3)], [1, 3]],
    ['entries of which none can be read', [page([], 3, false, 3)], []],
    ['an empty page that promises more', [page([], 0, true)], []],
    ['an empty page in the middle', [page([1, 2], 4, true), page([], 4, true), page([3, 4], 4)], [1, 2]],
    ['a last page that is missing', [page([1, 2], 4, true), page([], 4)], [1, 2]],
  ])('should be read to its end, and not be complete: %s', async (_, all, ids) => {
    const list = await read(pages(...all).call);
    expect([list.complete, idsOf(list)]).toEqual([false, ids]);
  });

  it('should not be complete when a new job shifts its pages', async () => {
    const list = await read(listAt([range(1, 150), [0, ...range(1, 150)]]));
    expect(list.complete).toBe(false);
  });

  it('should not be complete when a job leaves and its pages shift', async () => {
    const list = await read(listAt([range(1, 150), range(2, 150)]));
    expect(list.complete).toBe(false);
  });

  it('should not be complete when one comes and one goes, so that the count stays', async () => {
    const list = await read(listAt([range(1, 150), [0, ...range(1, 149)]]));
    expect(list.complete).toBe(false);
  });

  it('should end although every page promises another', async () => {
    let asked = 0;
    const call: PageCall<Item> = () => {
      asked += 1;
      return Promise.resolve({ kind: 'ok', value: page([asked], 1_000_000, true) });
    };
    const list = await read(call);
    expect(list.complete).toBe(false);
    expect(asked).toBeLessThanOrEqual(1_000);
  });

  it('should end although the same page comes for ever', async () => {
    const list = await read(pages(page([1, 2], 2, true)).call);
    expect([list.complete, idsOf(list)]).toEqual([false, [1, 2]]);
  });
});

describe('a list that does not come', () => {
  function refused(reason: RefusalReason, retryAfterMs: number | null = null, worded = true): CallOutcome<Page> {
    const refusal: Refusal = { reason, status: 400, detail: '', worded, errors: {}, nonFieldErrors: [], retryAfterMs };
    return { kind: 'refused', refusal };
  }

  const unknown = (reason: 'timeout' | 'server_error' | 'unusable_answer' | 'connection_lost'): CallOutcome<Page> => ({
    kind: 'unknown',
    reason,
    status: null,
    retryAfterMs: null,
  });

  it.each<[string, CallOutcome<Page>, object]>([
    ['429', refused('rate_limited', 7_000), { kind: 'rate_limited', retryAfterMs: 7_000 }],
    ['401', refused('token_rejected'), { kind: 'token_rejected' }],
    ['403', refused('forbidden'), { kind: 'not_served' }],
    ['404', refused('not_found'), { kind: 'not_served' }],
    ['the 403 of a proxy', refused('forbidden', null, false), { kind: 'unavailable' }],
    ['the 404 of a proxy', refused('other', null, false), { kind: 'unavailable' }],
    ['another refusal', refused('conflict'), { kind: 'unavailable' }],
    ['500', unknown('server_error'), { kind: 'unavailable' }],
    ['a timeout', unknown('timeout'), { kind: 'unavailable' }],
    ['a reset', unknown('connection_lost'), { kind: 'unavailable' }],
    ['a strange answer', unknown('unusable_answer'), { kind: 'unavailable' }],
    ['an unreachable host', { kind: 'not_sent', reason: 'unreachable' }, { kind: 'unavailable' }],
    ['an open circuit', { kind: 'not_sent', reason: 'circuit_open' }, { kind: 'unavailable' }],
  ])('should be no list, on its first page or later: %s', async (_, outcome, trouble) => {
    for (const failsAt of [1, 2]) {
      let asked = 0;
      const call: PageCall<Item> = () => {
        asked += 1;
        return Promise.resolve(asked === failsAt ? outcome : { kind: 'ok', value: page([asked], 2, asked === 1) });
      };
      const error = await read(call).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ListInterrupted);
      expect((error as ListInterrupted).trouble).toEqual(trouble);
    }
  });

  it('should stop before the page that it may not ask for', async () => {
    const { call, asked } = pages(page([1], 2, true), page([2], 2));
    let allowed = 1;
    const mayCall = () => Promise.resolve((allowed -= 1) >= 0);
    const error = await readWholeList(call, new DatabaseTime(T0), mayCall).catch((thrown: unknown) => thrown);
    expect((error as ListInterrupted).trouble).toEqual({ kind: 'stopped' });
    expect(asked).toHaveLength(1);
  });
});
