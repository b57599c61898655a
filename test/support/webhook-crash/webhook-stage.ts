import { setTimeout as sleep } from 'node:timers/promises';
import { startSimulator, type Simulator } from '../../../simulator/simulator.js';
import { Random } from '../crash/random.js';
import { gatewayEnv } from '../gateway.js';
import { CallbackReceiver, type Manner, type Receipt } from './callback-receiver.js';
import { Connections, type Instance } from './connections.js';
import { Load } from './load.js';
import { Records } from './records.js';
import { findViolations, type Verdict } from './verdict.js';
import { GatewayUnderFire } from './gateway-under-fire.js';

const CALLBACK_TIMEOUT_MS = 1_000;
/** How long a claim of webhooks lasts: the timeout of a call and ten seconds. */
export const LEASE_MS = CALLBACK_TIMEOUT_MS + 10_000;
/** Four failures within two seconds, and so many steps that nothing is given up. */
const SCHEDULE = [200, 400, 800, ...Array.from({ length: 17 }, () => 4_000)].join(',');
const ENV = {
  TENSORPIX_TIMEOUT_MS: '1000',
  CALLBACK_TIMEOUT_MS: String(CALLBACK_TIMEOUT_MS),
  CALLBACK_RETRY_SCHEDULE_MS: SCHEDULE,
  LOG_LEVEL: 'warn',
};
const LOOK_MS = 250;
/** Beyond every claim and every pause of the gateway's that can be due in a run. */
const PATIENCE_MS = 180_000;

/** A gateway that takes requests and is left alone, two workers to be killed, a TensorPix and receivers. */
export class WebhookStage {
  readonly random: Random;
  readonly connections = new Connections();
  readonly secrets = new Map<string, string>();
  readonly records: Records;
  readonly workers: GatewayUnderFire[];
  private readonly receivers: CallbackReceiver[] = [];
  private readonly front: GatewayUnderFire;

  private constructor(
    readonly seed: number,
    databaseUrl: string,
    private readonly simulator: Simulator,
  ) {
    this.random = new Random(seed);
    this.records = new Records(databaseUrl);
    const gateway = (name: string, role: string): GatewayUnderFire =>
      new GatewayUnderFire(
        name,
        gatewayEnv(databaseUrl, simulator.url, { ...ENV, GATEWAY_ROLE: role }),
        this.connections,
      );
    this.front = gateway('front', 'api');
    this.workers = [gateway('worker 1', 'worker'), gateway('worker 2', 'worker')];
  }

  static async open(seed: number, databaseUrl: string): Promise<WebhookStage> {
    const times = { latencyMs: 10, queueMs: 300, durationMs: 1_200, jitter: 0.5 };
    const simulator = await startSimulator({ seed, tokens: [], autoCreateAccounts: true, ...times });
    const stage = new WebhookStage(seed, databaseUrl, simulator);
    try {
      await stage.start();
      return stage;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  async addReceiver(name: string, manner: Manner): Promise<CallbackReceiver> {
    const receiver = new CallbackReceiver(name, manner, this.secrets, this.random.fork(name));
    await receiver.open();
    this.receivers.push(receiver);
    return receiver;
  }

  /** How many requests of a worker are not answered at this moment. */
  underWay({ instances }: GatewayUnderFire): number {
    const sender = instances.at(-1);
    const open = this.receipts(({ overAtMs }) => overAtMs === Infinity);
    return open.filter((receipt) => this.senderOf(receipt) === sender).length;
  }

  /** How much of what a worker had under way when it was stopped was sent again since, by another one: 0 to 1. */
  takenOver({ instances }: GatewayUnderFire): number {
    const sender = instances.at(-1);
    const fromMs = sender?.stills.at(-1)?.fromMs ?? Infinity;
    const across = this.receipts(({ arrivedAtMs, overAtMs }) => arrivedAtMs <= fromMs && overAtMs > fromMs);
    const held = new Set(across.filter((receipt) => this.senderOf(receipt) === sender).map(({ id }) => id));
    const again = new Set(
      this.receipts(({ id, arrivedAtMs }) => arrivedAtMs > fromMs && held.has(id)).map(({ id }) => id),
    );
    return held.size === 0 ? 1 : again.size / held.size;
  }

  newLoad(prefix: string): Load {
    return new Load(this.front.url, this.secrets, this.random.fork(prefix), prefix);
  }

  /** Waits until nothing is under way any more. Empty, or what does not come to its end. */
  async settle(): Promise<string[]> {
    const untilMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const open = await this.records.open();
      if (Object.values(open).every((count) => count === 0)) return [];
      if (performance.now() > untilMs) return [`does not come to its end: ${JSON.stringify(open)}`];
      await sleep(LOOK_MS);
    }
  }

  /** Compares what was recorded of these tenants' webhooks with what all receivers got of them. */
  async judge(tenantIds: readonly string[], receivers: readonly CallbackReceiver[]): Promise<Verdict> {
    const verdict = findViolations({
      deliveries: await this.records.deliveries(tenantIds),
      attempts: await this.records.attempts(tenantIds),
      receipts: receivers.flatMap(({ receipts }) => receipts),
      connections: this.connections,
    });
    const exits = this.gateways.flatMap((gateway) => gateway.exits);
    return { ...verdict, violations: [...exits, ...(await this.records.untold()), ...verdict.violations] };
  }

  async close(): Promise<void> {
    await Promise.all(this.gateways.map((gateway) => gateway.kill()));
    await Promise.all(this.receivers.map((receiver) => receiver.refuse()));
    await this.records.close();
    await this.simulator.close();
  }

  private receipts(isWanted: (receipt: Receipt) => boolean): Receipt[] {
    return this.receivers.flatMap(({ receipts }) => receipts.filter(isWanted));
  }

  private senderOf({ connection, arrivedAtMs }: Receipt): Instance | null {
    return this.connections.openerOf(connection, arrivedAtMs);
  }

  private get gateways(): GatewayUnderFire[] {
    return [this.front, ...this.workers];
  }

  private async start(): Promise<void> {
    await Promise.all(this.gateways.map((gateway) => gateway.boot()));
  }
}
