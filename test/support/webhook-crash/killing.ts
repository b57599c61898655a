import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../gateway.js';
import type { Random } from '../crash/random.js';
import { nowMs } from './clock.js';
import type { Worker } from './worker.js';

export interface KillPlan {
  kills: number;
  /** How often a worker is only stopped, until its claims have expired. */
  stills: number;
  /** How long a claim of webhooks lasts. */
  leaseMs: number;
  /** How many requests of a worker its receivers have not answered. */
  underWay: (worker: Worker) => number;
  /** Brings work before each of them. */
  onStep: (step: KillStep) => Promise<void>;
}

export type KillStep = 'kill' | 'still';

const SHORTEST_UP_MS = 200;
const LONGEST_UP_MS = 1_200;
const LONGEST_DOWN_MS = 400;
/** So many of the kills wait until the victim has requests under way, at most for so long. */
const MID_POST = 0.6;
const BUSY_PATIENCE_MS = 1_500;
/** A stopped process goes on about when its claims expire: others have taken over some, and are sending them. */
const EARLY_MS = 300;
const LATE_MS = 700;
/** So many requests are under way when a process is stopped, if they are within its patience. */
const BUSY = 5;
/** Into a standstill, when the other worker is killed. */
const LATEST_KILL_MS = 3_000;
const LOOK_MS = 10;
const BOOT_PATIENCE_MS = 120_000;

/** Kills and stops two workers at random moments, and starts them again; at the end both are up. */
export async function killAgainAndAgain(workers: readonly Worker[], plan: KillPlan, random: Random): Promise<void> {
  const boots: Promise<void>[] = [];
  try {
    for (const step of stepsOf(plan, random)) {
      if (step === 'still') await Promise.all(boots);
      const bringing = plan.onStep(step);
      bringing.catch(() => undefined);
      const victim = await pickUp(workers, random);
      if (step === 'kill') {
        await sleep(random.whole(SHORTEST_UP_MS, LONGEST_UP_MS));
        if (random.chance(MID_POST)) await untilBusy(() => plan.underWay(victim) > 0);
        await victim.kill();
        const booting = bootLater(victim, random.whole(0, LONGEST_DOWN_MS));
        booting.catch(() => undefined);
        boots.push(booting);
      } else {
        await untilBusy(() => plan.underWay(victim) >= BUSY);
        await standStill(workers, victim, plan.leaseMs, random);
      }
      await bringing;
    }
  } finally {
    await Promise.all(boots);
  }
}

/** One of the workers stands still; the other one is killed at first, and up again to take over. */
async function standStill(workers: readonly Worker[], victim: Worker, leaseMs: number, random: Random): Promise<void> {
  const standing = victim.standStill(leaseMs + random.whole(-EARLY_MS, LATE_MS));
  const others = workers.filter((worker) => worker !== victim);
  await sleep(random.whole(0, LATEST_KILL_MS));
  await Promise.all(others.map((other) => other.kill().then(() => other.boot())));
  await standing;
}

async function bootLater(worker: Worker, afterMs: number): Promise<void> {
  await sleep(afterMs);
  await worker.boot();
}

async function untilBusy(isBusy: () => boolean): Promise<void> {
  const untilMs = nowMs() + BUSY_PATIENCE_MS;
  while (!isBusy() && nowMs() < untilMs) await sleep(LOOK_MS);
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
function stepsOf({ kills, stills }: KillPlan, random: Random): KillStep[] {
  const steps: KillStep[] = Array.from({ length: kills }, () => 'kill');
  const share = kills / (stills + 1);
  for (let still = stills; still > 0; still--) {
    const place = Math.round(share * still) + random.whole(-1, 1);
    steps.splice(Math.max(0, place), 0, 'still');
  }
  return steps;
}
