import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../gateway.js';
import { MANNERS, type CallbackReceiver } from './callback-receiver.js';
import { killAgainAndAgain } from './killing.js';
import type { TracedReceipt, Verdict } from './verdict.js';
import { LEASE_MS, type WebhookStage } from './webhook-stage.js';

export interface CrashRunOptions {
  /** At least so many are made. */
  jobs: number;
  kills: number;
  stills: number;
  teams: number;
  clients: number;
}

export interface CrashRunResult {
  line: string;
  /** Empty: nothing is wrong. */
  violations: string[];
  /** Kills of a process that had requests under way. */
  killsMidPost: number;
}

/** Webhooks gather for so long before both workers are killed at once. */
const SHORTEST_CALM_MS = 500;
const LONGEST_CALM_MS = 1_500;
const PATIENCE_MS = 120_000;

/** Jobs of several teams run while their workers are killed again and again; then what is left of it all. */
export async function runCrashes(stage: WebhookStage, options: CrashRunOptions): Promise<CrashRunResult> {
  const receivers = await Promise.all(
    (['fast', 'slow', 'flaky', 'silent'] as const).map((name) => stage.addReceiver(name, MANNERS[name])),
  );
  const load = stage.newLoad('crash');
  const random = stage.random.fork('teams');
  for (let team = 0; team < options.teams; team++) await load.addTeam(pickSome(receivers, random.whole(1, 2), random));
  const loading = load.run(options.clients, receivers, options.jobs);
  // It is waited for below, whatever happens until then.
  loading.catch(() => undefined);
  const plan = { kills: options.kills, stills: options.stills, leaseMs: LEASE_MS };
  let leases: string[];
  try {
    await killAgainAndAgain(stage.workers, plan, stage.random.fork('kills'));
    leases = await killAllAtOnce(stage);
  } finally {
    load.stop();
  }
  await loading;
  const stuck = await stage.settle();
  const verdict = await stage.judge(load.tenantIds, receivers);
  const violations = [...leases, ...stuck, ...verdict.violations];
  const { line, killsMidPost } = await summarise(stage, load.jobs, load.tenantIds, verdict, violations.length);
  return { line, violations, killsMidPost };
}

/** The last kill, of both: their claims end in time, and others get them. Returns what is wrong with that. */
async function killAllAtOnce({ workers, records, random }: WebhookStage): Promise<string[]> {
  await sleep(random.fork('calm').whole(SHORTEST_CALM_MS, LONGEST_CALM_MS));
  await Promise.all(workers.map((worker) => worker.kill()));
  const orphans = await records.leases();
  await Promise.all(workers.map((worker) => worker.boot()));
  const tokens = new Set(orphans.map(({ lease_token }) => lease_token));
  const kept = await eventually(
    async () => (await records.leases()).filter(({ lease_token }) => tokens.has(lease_token)),
    ({ length }) => length === 0,
    PATIENCE_MS,
  ).then(
    () => [],
    () => ['the claims of killed workers are not taken over'],
  );
  const long = orphans.filter(({ left_ms }) => left_ms > LEASE_MS);
  return [...kept, ...long.map(({ id, left_ms }) => `queue ${id} is claimed for ${left_ms} ms more`)];
}

function pickSome(
  receivers: readonly CallbackReceiver[],
  count: number,
  random: WebhookStage['random'],
): CallbackReceiver[] {
  const first = random.whole(0, receivers.length - 1);
  return Array.from({ length: count }, (_, place) => receivers[(first + place) % receivers.length]!);
}

/** A run in a line. */
async function summarise(
  { seed, records, workers }: WebhookStage,
  jobs: number,
  tenantIds: readonly string[],
  { traced, excess, lateRepeats }: Verdict,
  violations: number,
): Promise<{ line: string; killsMidPost: number }> {
  const deliveries = await records.deliveries(tenantIds);
  const superseded = deliveries.filter(({ status }) => status === 'superseded').length;
  const instances = workers.flatMap((worker) => worker.instances);
  const kills = instances.filter(({ killedAtMs }) => killedAtMs !== null).length;
  const stills = instances.reduce((sum, instance) => sum + instance.stills.length, 0);
  const cut = traced.filter(({ sender, overAtMs }) => sender.killedAtMs !== null && overAtMs > sender.killedAtMs);
  const killsMidPost = new Set(cut.map(({ sender }) => sender)).size;
  const line = [
    `seed ${seed}: ${jobs} jobs`,
    `${deliveries.length} webhooks (${superseded} superseded)`,
    `${traced.length} requests`,
    `${kills} kills (${killsMidPost} mid-POST, of ${cut.length} requests) and ${stills} standstills`,
    `${excess.unrecorded} sends that left no record and ${excess.uncounted} that did not count`,
    `${lateRepeats} late repeats`,
    `sent again at most ${(slowestRecoveryMs(cut, traced) / 1_000).toFixed(1)} s after the kill`,
    `${violations} violations`,
  ].join(', ');
  return { line, killsMidPost };
}

/** From a kill in the middle of a request to the next request of the same webhook. */
function slowestRecoveryMs(cut: readonly TracedReceipt[], all: readonly TracedReceipt[]): number {
  const times = cut.map(({ id, arrivedAtMs, sender }) => {
    const next = all.find((other) => other.id === id && other.arrivedAtMs > arrivedAtMs);
    return next ? next.arrivedAtMs - (sender.killedAtMs ?? 0) : 0;
  });
  return Math.max(0, ...times);
}
