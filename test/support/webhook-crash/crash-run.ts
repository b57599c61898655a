import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../gateway.js';
import { MANNERS, type CallbackReceiver } from './callback-receiver.js';
import { nowMs } from './clock.js';
import { killAgainAndAgain, type KillStep } from './killing.js';
import type { Load } from './load.js';
import { isSentLate } from './overlaps.js';
import type { TracedReceipt, Verdict } from './verdict.js';
import type { GatewayUnderFire } from './gateway-under-fire.js';
import { LEASE_MS, type WebhookStage } from './webhook-stage.js';

export interface CrashRunOptions {
  /** Beside those that belong to a standstill and to the end. */
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

/** Made while one step of the killing lasts; before a standstill, at once. */
const JOBS = { kill: 20, still: 60 };
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
  const loading = load.run(options.clients, receivers);
  // It is waited for below, whatever happens until then.
  loading.catch(() => undefined);
  const onStep = async (step: KillStep): Promise<void> => {
    if (step === 'kill') load.allow(JOBS.kill);
    else await load.burst(JOBS.still, receivers, stage.random.fork('burst'));
  };
  const underWay = (worker: GatewayUnderFire): number => stage.underWay(worker);
  const takenOver = (worker: GatewayUnderFire): number => stage.takenOver(worker);
  const plan = { kills: options.kills, stills: options.stills, underWay, takenOver, onStep };
  let end: LastKill;
  try {
    await killAgainAndAgain(stage.workers, plan, stage.random.fork('kills'));
    load.allow(JOBS.kill);
    end = await killAllAtOnce(stage);
  } finally {
    load.stop();
  }
  await loading;
  const stuck = await stage.settle();
  const verdict = await stage.judge(load.tenantIds, receivers);
  const violations = [...end.violations, ...stuck, ...verdict.violations];
  const { counts, killsMidPost } = await summarise(stage, load, verdict);
  const recovery = `${end.claims} claims of the last kill taken over after ${(end.recoveryMs / 1_000).toFixed(1)} s`;
  return { line: [...counts, recovery, `${violations.length} violations`].join(', '), violations, killsMidPost };
}

interface LastKill {
  /** What is wrong with the claims that were left. */
  violations: string[];
  claims: number;
  /** Until all of them were taken over. */
  recoveryMs: number;
}

/** The last kill, of both: their claims end in time, and others get them. */
async function killAllAtOnce({ workers, records, random }: WebhookStage): Promise<LastKill> {
  await sleep(random.fork('calm').whole(SHORTEST_CALM_MS, LONGEST_CALM_MS));
  await Promise.all(workers.map((worker) => worker.kill()));
  const killedAtMs = nowMs();
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
  const violations = [...kept, ...long.map(({ id, left_ms }) => `queue ${id} is claimed for ${left_ms} ms more`)];
  return { violations, claims: orphans.length, recoveryMs: nowMs() - killedAtMs };
}

function pickSome(
  receivers: readonly CallbackReceiver[],
  count: number,
  random: WebhookStage['random'],
): CallbackReceiver[] {
  const first = random.whole(0, receivers.length - 1);
  return Array.from({ length: count }, (_, place) => receivers[(first + place) % receivers.length]!);
}

async function summarise(
  { seed, records, workers }: WebhookStage,
  load: Load,
  { traced, excess }: Verdict,
): Promise<{ counts: string[]; killsMidPost: number }> {
  const deliveries = await records.deliveries(load.tenantIds);
  const superseded = deliveries.filter(({ status }) => status === 'superseded').length;
  const instances = workers.flatMap((worker) => worker.instances);
  const kills = instances.filter(({ killedAtMs }) => killedAtMs !== null).length;
  const stills = instances.reduce((sum, instance) => sum + instance.stills.length, 0);
  const cut = traced.filter(({ sender, overAtMs }) => sender.killedAtMs !== null && overAtMs > sender.killedAtMs);
  const late = traced.filter(isSentLate);
  const outOfOrder = late.filter((receipt) => isOutOfOrder(receipt, traced)).length;
  const killsMidPost = new Set(cut.map(({ sender }) => sender)).size;
  const counts = [
    `seed ${seed}: ${load.jobs} jobs`,
    `${deliveries.length} webhooks (${superseded} superseded)`,
    `${traced.length} requests`,
    `${kills} kills (${killsMidPost} mid-POST, of ${cut.length} requests) and ${stills} standstills`,
    `${excess.unrecorded} sends that left no record and ${excess.uncounted} that did not count`,
    `${late.length} sent late by a process that had stood still (${outOfOrder} out of order)`,
  ];
  return { counts, killsMidPost };
}

/** Its receiver had never got it, and had got a later webhook of the job. */
function isOutOfOrder({ id, delivery, arrivedAtMs }: TracedReceipt, traced: readonly TracedReceipt[]): boolean {
  const before = traced.filter(
    (other) => other.delivery.queue_id === delivery.queue_id && other.arrivedAtMs < arrivedAtMs,
  );
  return (
    before.every((other) => other.id !== id) && before.some((other) => other.delivery.sequence > delivery.sequence)
  );
}
