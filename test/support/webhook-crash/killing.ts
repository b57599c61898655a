import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../gateway.js';
import type { Random } from '../crash/random.js';
import type { Worker } from './worker.js';

export interface KillPlan {
  kills: number;
  /** How often a worker is only stopped, until its claims have expired. */
  stills: number;
  /** How long a claim of webhooks lasts. */
  leaseMs: number;
}

const SHORTEST_UP_MS = 200;
const LONGEST_UP_MS = 1_200;
const LONGEST_DOWN_MS = 400;
/** Others have just taken over what a stopped process held, and are sending it, when the process goes on. */
const SHORTEST_LATE_MS = 100;
const LATEST_MS = 1_200;
/** Into a standstill, when the other worker is killed. */
const LATEST_KILL_MS = 3_000;
const BOOT_PATIENCE_MS = 120_000;

/** Kills and stops two workers at random moments, and starts them again; at the end both are up. */
export async function killAgainAndAgain(workers: readonly Worker[], plan: KillPlan, random: Random): Promise<void> {
  const boots: Promise<void>[] = [];
  try {
    for (const step of stepsOf(plan, random)) {
      const victim = await pickUp(workers, random);
      await sleep(random.whole(SHORTEST_UP_MS, LONGEST_UP_MS));
      if (step === 'kill') {
        await victim.kill();
        const booting = bootLater(victim, random.whole(0, LONGEST_DOWN_MS));
        booting.catch(() => undefined);
        boots.push(booting);
      } else {
        await Promise.all(boots);
        await standStill(workers, victim, plan.leaseMs, random);
      }
    }
  } finally {
    await Promise.all(boots);
  }
}

/** One of the workers stands still; the other one is killed meanwhile, and up again to take over. */
async function standStill(workers: readonly Worker[], victim: Worker, leaseMs: number, random: Random): Promise<void> {
  const standing = victim.standStill(leaseMs + random.whole(SHORTEST_LATE_MS, LATEST_MS));
  const others = workers.filter((worker) => worker !== victim);
  await sleep(random.whole(0, LATEST_KILL_MS));
  await Promise.all(others.map((other) => other.kill().then(() => other.boot())));
  await standing;
}

async function bootLater(worker: Worker, afterMs: number): Promise<void> {
  await sleep(afterMs);
  await worker.boot();
}

async function pickUp(workers: readonly Worker[], random: Random): Promise<Worker> {
  const up = await eventually(
    () => workers.filter(({ isUp }) => isUp),
    ({ length }) => length > 0,
    BOOT_PATIENCE_MS,
  );
  return random.pick(up);
}

/** Standstills are spread over the kills. */
function stepsOf({ kills, stills }: KillPlan, random: Random): ('kill' | 'still')[] {
  const steps: ('kill' | 'still')[] = Array.from({ length: kills }, () => 'kill');
  const share = kills / (stills + 1);
  for (let still = stills; still > 0; still--) {
    const place = Math.round(share * still) + random.whole(-1, 1);
    steps.splice(Math.max(0, place), 0, 'still');
  }
  return steps;
}
