import { eventually } from '../gateway.js';
import { MANNERS } from './callback-receiver.js';
import type { WebhookStage } from './webhook-stage.js';

export type Outage = 'refuses connections' | 'answers 503';

export interface OutageResult {
  line: string;
  /** Empty: nothing is wrong. */
  violations: string[];
}

const TEAMS = 2;
const JOBS_A_TEAM = 20;
/** Steps of the schedule that the outage outlasts. */
const FAILURES = 3;
const PATIENCE_MS = 120_000;

/** A receiver is away while jobs run from their first webhook to their last one; then it is back, and nobody helps. */
export async function runOutage(stage: WebhookStage, outage: Outage): Promise<OutageResult> {
  const { records } = stage;
  const receiver = await stage.addReceiver(outage, MANNERS.fast);
  const load = stage.newLoad(outage.replaceAll(' ', '-'));
  for (let team = 0; team < TEAMS; team++) await load.addTeam([receiver]);
  if (outage === 'answers 503') receiver.behave(MANNERS.unavailable);
  else await receiver.refuse();

  const jobs = load.teams.flatMap((team) => Array.from({ length: JOBS_A_TEAM }, () => team));
  await Promise.all(jobs.map((team, number) => load.createJob(team, receiver, number % 2 === 0)));
  const queues = 2 * jobs.length;
  await eventually(
    async () => {
      const heads = await records.headAttempts(load.tenantIds);
      const failed = heads.filter(({ attempts }) => attempts >= FAILURES).length;
      return { running: (await records.open()).jobs, failed };
    },
    ({ running, failed }) => running === 0 && failed === queues,
    PATIENCE_MS,
  );

  const before = receiver.receipts.length;
  if (outage === 'answers 503') receiver.behave(MANNERS.fast);
  else await receiver.open();
  const stuck = await stage.settle();
  const { violations } = await stage.judge(load.tenantIds, [receiver]);
  const deliveries = await records.deliveries(load.tenantIds);
  const count = (status: string): number => deliveries.filter((delivery) => delivery.status === status).length;
  const line = [
    `a receiver that ${outage}: ${jobs.length} jobs`,
    `${deliveries.length} webhooks, ${count('delivered')} delivered, ${count('superseded')} superseded`,
    `${before} requests during the outage, ${receiver.receipts.length - before} afterwards`,
  ].join(', ');
  return { line, violations: [...stuck, ...violations] };
}
