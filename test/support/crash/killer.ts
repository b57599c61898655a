import { setTimeout as sleep } from 'node:timers/promises';
import type { KillPoint } from './kill-points.js';
import type { Random } from './random.js';
import type { Replica } from './replica.js';

/** Points that are not passed for so long are given up for now. */
const PATIENCE_MS = 4_000;
/** Waited for at once, so that rare points cost no time. */
const MOST_ARMED = 4;
const MOST_SKIPPED = 2;
const LONGEST_DELAY_MS = 30;
const LONGEST_DOWN_MS = 400;
const IDLE_MS = 500;
/** Longer than a claim lasts (the timeout of a call and 10 s): others have taken over when the process goes on. */
const SHORTEST_STILL_MS = 11_200;
const LONGEST_STILL_MS = 13_500;
/** A point that was waited for in vain counts as this much of a hit, so that the others get their turn. */
const MISS = 0.4;

/** How often a point was hit, and waited for in vain, over all replicas. */
export class KillCounts {
  readonly hits: Map<KillPoint, number>;
  /** How often a process stood still for longer than its claims. */
  stills = 0;
  private readonly misses = new Map<KillPoint, number>();

  /**
   * @param points where to kill
   * @param wanted how often at each of them; what was hit less often comes first
   */
  constructor(
    private readonly points: readonly KillPoint[],
    private readonly wanted: number,
  ) {
    this.hits = new Map(points.map((point) => [point, 0]));
  }

  get total(): number {
    return [...this.hits.values()].reduce((sum, hits) => sum + hits, 0);
  }

  /**
   * Some of those that were hit least, among the ones that are passed at all; none before any is. While points are left that
   * are wanted, only those, and none before any of those is passed: a process that is not killed elsewhere meanwhile lives
   * long enough to pass the rare ones.
   */
  next(passages: ReadonlyMap<KillPoint, number>, random: Random): KillPoint[] {
    const weightOf = (point: KillPoint): number => (this.hits.get(point) ?? 0) + MISS * (this.misses.get(point) ?? 0);
    const passed = this.points.filter((point) => passages.has(point));
    const missing = passed.filter((point) => (this.hits.get(point) ?? 0) < this.wanted);
    const candidates = this.below(this.wanted).length > 0 ? missing : passed;
    if (candidates.length <= MOST_ARMED) return candidates;
    const least = Math.min(...candidates.map(weightOf));
    const points = candidates.filter((point) => weightOf(point) < least + MISS);
    return Array.from({ length: MOST_ARMED }, () => random.pick(points));
  }

  /** Whether all of these were waited for in vain before: such points are taken when they come. */
  areRare(points: readonly KillPoint[]): boolean {
    return points.every((point) => this.misses.has(point));
  }

  hit(point: KillPoint): void {
    this.hits.set(point, (this.hits.get(point) ?? 0) + 1);
  }

  miss(point: KillPoint): void {
    this.misses.set(point, (this.misses.get(point) ?? 0) + 1);
  }

  /** Points that were hit less often than that. */
  below(least: number): KillPoint[] {
    return this.points.filter((point) => (this.hits.get(point) ?? 0) < least);
  }
}

export interface KillPace {
  /** How long a process lives at most before its next point is waited for. Between two deaths looks come to their end. */
  longestUpMs: number;
  /** 0 to 1: how often a process is only stopped, until its claims have expired. */
  stills: number;
}

/**
 * Kills one replica at one point after another and starts it again, until `stopping` is aborted; then it is up. Each
 * replica has a killer of its own, so that at times both are down.
 */
export async function keepKilling(
  replica: Replica,
  counts: KillCounts,
  pace: KillPace,
  random: Random,
  stopping: AbortSignal,
): Promise<void> {
  const { killSwitch } = replica;
  while (!stopping.aborted) {
    const points = counts.next(killSwitch.passages, random);
    const kills = !random.chance(pace.stills);
    if (points.length === 0) {
      await pause(IDLE_MS, stopping);
      continue;
    }
    const skip = counts.areRare(points) ? 0 : random.whole(0, MOST_SKIPPED);
    const reached = killSwitch.arm(points, skip, kills);
    const point = await Promise.race([reached, pause(PATIENCE_MS, stopping)]);
    if (!point) {
      killSwitch.disarm();
      if (!stopping.aborted) for (const missed of points) counts.miss(missed);
      continue;
    }
    await sleep(random.whole(0, LONGEST_DELAY_MS));
    if (kills) {
      counts.hit(point);
      await replica.kill();
      await sleep(random.whole(0, LONGEST_DOWN_MS));
      await replica.boot();
    } else {
      counts.stills += 1;
      await replica.standStill(random.whole(SHORTEST_STILL_MS, LONGEST_STILL_MS));
    }
    await pause(random.whole(0, pace.longestUpMs), stopping);
  }
}

/** Ends early when it is time to stop. */
async function pause(ms: number, stopping: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal: stopping }).catch(() => undefined);
}
