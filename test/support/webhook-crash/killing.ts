import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../gateway.js';
import type { Random } from '../crash/random.js';
import { nowMs } from './clock.js';
import type { GatewayUnderFire } from './gateway-under-fire.js';

export interface KillPlan {
  kills: number;
  /** How often a worker is only stopped, until another one has taken over what it held. */
  stills: number;
  /** How many requests of a worker its receivers have not answered. */
  underWay: (worker: GatewayUnderFire) => number;
  /** How much of what a worker had under way when it was stopped was sent again since, by another one: 0 to 1. */
  takenOver: (worker: GatewayUnderFire) => number;
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
/** So many requests are under way when a process is stopped, if that comes in time. */
const BUSY = 8;
/** A stopped process goes on while what it held is being sent again: so much of it at least, and up to so much later. */
const TAKEN_OVER = 0.5;
const LATEST_MS = 300;
const STILL_PATIENCE_MS = 25_000;
/** Into a standstill, when the other worker is killed. */
const LATEST_KILL_MS = 3_000;
const LOOK_MS = 15;
const BOOT_PATIENCE_MS = 120_000;

/** Kills and stops two workers at random moments, and starts them again; at the end both are up. */
export async function killAgainAndAgain(
  workers: readonly GatewayUnderFire[],
  plan: KillPlan,
  random: Random,
): Promise<void> {
  const boots: Promise<void>[] = [];
  try {
    for (const step of stepsOf(plan, random)) {
      if (step === 'still') await Promise.all(boots);
      const bringing = plan.onStep(step);
      bringing.catch(() => undefined);
      if (step === 'kill') {
        const victim = await pickUp(workers, random);
        await sleep(random.whole(SHORTEST_UP_MS, LONGEST_UP_MS));
        if (random.chance(MID_POST)) await untilBusy(() => plan.underWay(victim) > 0, BUSY_PATIENCE_MS);
        await victim.kill();
        const booting = bootLater(victim, random.whole(0, LONGEST_DOWN_MS));
        booting.catch(() => undefined);
        boots.push(booting);
      } else {
        await standStill(workers, plan, random);
      }
      await bringing;
    }
  } finally {
    await Promise.all(boots);
  }
}

/** The busier worker stands still; the other one is killed at first, and up again to take over. */
async function standStill(
  workers: readonly GatewayUnderFire[],
  { underWay, takenOver }: KillPlan,
  random: Random,
): Promise<void> {
  await untilBusy(() => workers.some((worker) => underWay(worker) >= BUSY), BUSY_PATIENCE_MS);
  const [victim, ...others] = [...workers].sort((a, b) => underWay(b) - underWay(a));
  if (!victim) return;
  victim.stop();
  await sleep(random.whole(0, LATEST_KILL_MS));
  await Promise.all(others.map((other) => other.kill().then(() => other.boot())));
  await untilBusy(() => takenOver(victim) >= TAKEN_OVER, STILL_PATIENCE_MS);
  await sleep(random.whole(0, LATEST_MS));
  victim.goOn();
}

async function bootLater(worker: GatewayUnderFire, afterMs: number): Promise<void> {
  await sleep(afterMs);
  await worker.boot();
}

/** Goes on without it when it does not come. */
async function untilBusy(isBusy: () => boolean, patienceMs: number): Promise<void> {
  const untilMs = nowMs() + patienceMs;
  while (!isBusy() && nowMs() < untilMs) await sleep(LOOK_MS);
}

async function pickUp(workers: readonly GatewayUnderFire[], random: Random): Promise<GatewayUnderFire> {
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
