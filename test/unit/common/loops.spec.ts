import { afterEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs, withAddedJitterMs } from '../../../src/common/loops/backoff.js';
import { Lease } from '../../../src/common/loops/lease.js';
import { Loop } from '../../../src/common/loops/loop.js';
import { MicroBatcher } from '../../../src/common/loops/micro-batcher.js';
import { waitForAll } from '../../../src/common/loops/wait-for-all.js';

/** A promise that is settled from outside. */
function gate<T = void>() {
  let open!: (value: T) => void;
  const passed = new Promise<T>((resolve) => (open = resolve));
  return { open, passed };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let i = 0; i < count; i += 1) await turn();
};

describe('waiting for all', () => {
  it('should end when the last has ended, with what one failed with or with all that several failed with', async () => {
    const last = gate();
    let ended = false;
    const broken = new Error('one');
    const waiting = waitForAll([Promise.reject(broken), last.passed]).finally(() => (ended = true));
    const seen = expect(waiting).rejects.toBe(broken);
    await turns(3);
    expect(ended).toBe(false);
    last.open();
    await seen;
    const two = [Promise.reject(new Error('a')), Promise.resolve(), Promise.reject(new Error('b'))];
    await expect(waitForAll<void>(two)).rejects.toMatchObject({
      message: '2 of 3 failed',
      errors: [{ message: 'a' }, { message: 'b' }],
    });
    expect(await waitForAll([Promise.resolve(1), Promise.resolve(2)])).toEqual([1, 2]);
  });
});

describe('the micro-batcher', () => {
  it('should write what waits together in one batch and give each its own result', async () => {
    const batches: number[][] = [];
    const batcher = new MicroBatcher<number, number>(
      async (items) => (batches.push(items), items.map((item) => item * 2)),
      {
        maxItems: 10,
        concurrency: 1,
      },
    );
    expect(await Promise.all([1, 2, 3].map((item) => batcher.add(item)))).toEqual([2, 4, 6]);
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it('should keep the order and the bound of a batch, and run no more than so many at once', async () => {
    const options = fc.record({
      maxItems: fc.integer({ min: 1, max: 5 }),
      concurrency: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(options, fc.integer({ min: 1, max: 40 }), async ({ maxItems, concurrency }, count) => {
        let running = 0;
        const written: number[] = [];
        const write = async (items: number[]) => {
          running += 1;
          expect(running).toBeLessThanOrEqual(concurrency);
          expect(items.length).toBeGreaterThan(0);
          expect(items.length).toBeLessThanOrEqual(maxItems);
          written.push(...items);
          await turn();
          running -= 1;
          return items.map(String);
        };
        const batcher = new MicroBatcher<number, string>(write, { maxItems, concurrency });
        const items = Array.from({ length: count }, (_, i) => i);
        expect(await Promise.all(items.map((item) => batcher.add(item)))).toEqual(items.map(String));
        expect(written).toEqual(items);
      }),
      { numRuns: 50 },
    );
  });

  it('should gather what comes while a batch is being written', async () => {
    const first = gate();
    const batches: string[][] = [];
    const batcher = new MicroBatcher<string, string>(
      async (items) => {
        batches.push(items);
        if (batches.length === 1) await first.passed;
        return items;
      },
      { maxItems: 10, concurrency: 1 },
    );
    const one = batcher.add('a');
    await turns(3);
    const others = [batcher.add('b'), batcher.add('c')];
    await turns(3);
    expect(batches).toEqual([['a']]);
    first.open();
    await Promise.all([one, ...others]);
    expect(batches).toEqual([['a'], ['b', 'c']]);
  });

  it('should let a bad item fail alone', async () => {
    const write = async (items: string[]) => {
      if (items.includes('bad')) throw new Error('refused');
      return items;
    };
    const batcher = new MicroBatcher<string, string>(write, { maxItems: 10, concurrency: 1 });
    const results = await Promise.allSettled(['a', 'bad', 'b'].map((item) => batcher.add(item)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await expect(batcher.add('later')).resolves.toBe('later');
  });

  it('should not keep the items of a failed batch waiting for one of them, and try only a few at once', async () => {
    const held = gate();
    let [running, most] = [0, 0];
    const write = async (items: string[]) => {
      if (items.length > 1) throw new Error('refused');
      most = Math.max(most, (running += 1));
      await (items[0] === 'held' ? held.passed : turn());
      running -= 1;
      return items;
    };
    const batcher = new MicroBatcher<string, string>(write, { maxItems: 10, concurrency: 1 });
    const waiting = batcher.add('held');
    const others = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
    expect(await Promise.all(others.map((item) => batcher.add(item)))).toEqual(others);
    expect(most).toBe(4);
    held.open();
    expect(await waiting).toBe('held');
  });

  it('should try no item alone when the database is away, and go on when it is back', async () => {
    let calls = 0;
    const write = async (items: string[]) => {
      if ((calls += 1) === 1) throw Object.assign(new Error('gone'), { code: 'ECONNREFUSED' });
      return items;
    };
    const batcher = new MicroBatcher<string, string>(write, { maxItems: 10, concurrency: 1 });
    const results = await Promise.allSettled(['a', 'b'].map((item) => batcher.add(item)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(calls).toBe(1);
    await expect(batcher.add('c')).resolves.toBe('c');
  });

  it('should fail an item that got no result, rather than leave its caller waiting', async () => {
    const batcher = new MicroBatcher<string, string>(async () => [], { maxItems: 10, concurrency: 1 });
    const results = await Promise.allSettled(['a', 'b'].map((item) => batcher.add(item)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('should survive a writer that throws before it returns a promise', async () => {
    const write = (): Promise<string[]> => {
      throw new Error('at once');
    };
    const batcher = new MicroBatcher<string, string>(write, { maxItems: 10, concurrency: 1 });
    await expect(batcher.add('a')).rejects.toThrow('at once');
    await expect(batcher.add('b')).rejects.toThrow('at once');
  });
});

describe('a loop', () => {
  const noError = (error: unknown) => {
    throw error;
  };

  it('should never run two ticks at once, and run once more for any number of kicks in between', async () => {
    let [running, ticks] = [0, 0];
    const gates = [gate(), gate(), gate()];
    const loop = new Loop(
      'test',
      async () => {
        expect((running += 1)).toBe(1);
        await gates[ticks++]?.passed;
        running -= 1;
        return false;
      },
      noError,
    );
    loop.kick();
    await turns(2);
    for (let i = 0; i < 5; i += 1) loop.kick();
    await turns(2);
    expect(ticks).toBe(1);
    gates[0]?.open();
    await turns(2);
    expect(ticks).toBe(2);
    gates[1]?.open();
    await turns(3);
    expect({ ticks, running }).toEqual({ ticks: 2, running: 0 });
    loop.kick();
    await turns(2);
    expect(ticks).toBe(3);
    gates[2]?.open();
    await loop.stop();
  });

  it('should go on at once while there is more to do', async () => {
    let left = 5;
    const loop = new Loop('test', async () => (left -= 1) > 0, noError);
    loop.kick();
    await turns(3);
    expect(left).toBe(0);
  });

  it('should report a tick that throws, at once or later, and live on', async () => {
    const errors: unknown[] = [];
    let ticks = 0;
    const loop = new Loop(
      'test',
      () => {
        ticks += 1;
        if (ticks === 1) throw new Error('at once');
        return ticks === 2 ? Promise.reject(new Error('later')) : Promise.resolve(false);
      },
      (error) => errors.push((error as Error).message),
    );
    for (let i = 0; i < 3; i += 1) {
      loop.kick();
      await turns(2);
    }
    expect({ ticks, errors }).toEqual({ ticks: 3, errors: ['at once', 'later'] });
  });

  it('should wait for the tick under way when it is stopped, and begin no other', async () => {
    const { open, passed } = gate();
    let [ticks, ended, stopped] = [0, false, false];
    const loop = new Loop(
      'test',
      async () => {
        ticks += 1;
        await passed;
        ended = true;
        return true;
      },
      noError,
    );
    loop.kick();
    loop.kick();
    const stopping = loop.stop().then(() => (stopped = true));
    await turns(2);
    expect({ ticks, stopped }).toEqual({ ticks: 1, stopped: false });
    open();
    await stopping;
    loop.kick();
    await turns(2);
    expect({ ticks, ended }).toEqual({ ticks: 1, ended: true });
  });
});

describe('a lease', () => {
  afterEach(() => void jest.restoreAllMocks());

  it('should cover a call that ends before it, and no longer one', () => {
    jest.spyOn(performance, 'now').mockReturnValue(1_000);
    jest.spyOn(Date, 'now').mockReturnValue(5_000);
    const lease = new Lease(10_000);
    expect([0, 9_999, 10_000, 10_001].map((ms) => lease.covers(ms))).toEqual([true, true, true, false]);
    jest.spyOn(performance, 'now').mockReturnValue(5_000);
    jest.spyOn(Date, 'now').mockReturnValue(9_000);
    expect([6_000, 6_001].map((ms) => lease.covers(ms))).toEqual([true, false]);
  });

  it.each([
    ['the machine slept, so that only the wall clock moved', 1_000, 60_000],
    ['the wall clock was set back, so that only the monotonic one moved', 60_000, -60_000],
  ])('should be over when %s', (_, monotonicMs, wallMs) => {
    jest.spyOn(performance, 'now').mockReturnValue(0);
    jest.spyOn(Date, 'now').mockReturnValue(1_000_000);
    const lease = new Lease(10_000);
    jest.spyOn(performance, 'now').mockReturnValue(monotonicMs);
    jest.spyOn(Date, 'now').mockReturnValue(1_000_000 + wallMs);
    expect(lease.covers(0)).toBe(false);
  });

  it('should be renewed for one of the rows that were claimed together, as of before the statement', async () => {
    const clock = (ms: number) => {
      jest.spyOn(performance, 'now').mockReturnValue(ms);
      jest.spyOn(Date, 'now').mockReturnValue(ms);
    };
    clock(0);
    const claimed = new Lease(10_000);
    clock(1_000);
    const [renewed, gone, other] = [claimed.split(), claimed.split(), claimed.split()];
    expect([renewed.token, other.token]).toEqual([claimed.token, claimed.token]);
    clock(8_000);
    const renewing = renewed.renew(() => {
      clock(9_000);
      return Promise.resolve(true);
    });
    expect(await renewing).toBe(true);
    expect(await gone.renew(() => Promise.resolve(false))).toBe(false);
    expect([renewed, gone, other].map((lease) => lease.covers(1_001))).toEqual([true, false, false]);
    expect([renewed.covers(9_000), renewed.covers(9_001), other.covers(1_000)]).toEqual([true, false, true]);
  });

  it('should have a token of its own', () => {
    expect(new Set(Array.from({ length: 100 }, () => new Lease(1).token)).size).toBe(100);
  });
});

describe('backoff', () => {
  it('should lie between half and all of its step, and never above the cap', () => {
    const random = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2_000 }),
        fc.integer({ min: 1, max: 60_000 }),
        random,
        (failures, base, value) => {
          const step = Math.min(900_000, base * 2 ** Math.min(failures, 30));
          const ms = backoffMs(failures, base, 900_000, () => value);
          expect(ms).toBeGreaterThanOrEqual(Math.floor(step / 2));
          expect(ms).toBeLessThanOrEqual(step);
          expect(Number.isInteger(ms)).toBe(true);
        },
      ),
    );
  });

  it('should add jitter that never shortens', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 86_400_000 }), (delay) => {
        const ms = withAddedJitterMs(delay, 0.2);
        expect(ms).toBeGreaterThanOrEqual(delay);
        expect(ms).toBeLessThanOrEqual(Math.ceil(delay * 1.2));
      }),
    );
  });
});
