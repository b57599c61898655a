import { afterEach, describe, expect, it } from '@jest/globals';
import { WakeUps, type Topic } from '../../../src/common/loops/wake-ups.js';
import { eventually, startGateway, type Gateway } from '../../support/gateway.js';
import { idOf, useStage } from '../../support/stage.js';

const stage = useStage({ env: { GATEWAY_ROLE: 'api' } });
const CONNECTED = `select pid from pg_stat_activity
                    where datname = current_database() and application_name = 'tensorpix-gateway wake-ups' and state = 'idle'
                      and (query ilike 'listen %' or query ilike 'select pg_notify%')`;
const replicas: Gateway[] = [];

afterEach(async () => {
  for (const replica of replicas.splice(0)) await replica.close();
});

/** Another process, as far as the database can tell; no loop runs in it. */
async function replica(): Promise<Gateway> {
  const gateway = await startGateway(stage.databaseUrl, stage.simulator.url, { GATEWAY_ROLE: 'api' });
  replicas.push(gateway);
  await untilConnected(replicas.length + 1);
  return gateway;
}

function untilConnected(count: number): Promise<unknown> {
  return eventually(
    () => stage.sql(CONNECTED),
    (rows) => rows.length >= count,
  );
}

function wakeUps(gateway: Gateway): WakeUps {
  return gateway.app.get(WakeUps, { strict: false });
}

/** How often a replica was woken for this. */
function count(gateway: Gateway, topic: Topic): () => number {
  let woken = 0;
  wakeUps(gateway).on(topic, () => (woken += 1));
  return () => woken;
}

describe('a wake-up', () => {
  it('should reach this process at once and the others once, gathered', async () => {
    const [other, third] = [await replica(), await replica()];
    const [own, there, elsewhere] = [
      count(stage.gateway, 'deliveries'),
      count(other, 'deliveries'),
      count(third, 'submissions'),
    ];
    for (let i = 0; i < 10; i += 1) wakeUps(stage.gateway).ring('deliveries');
    expect(own()).toBe(10);
    await eventually(there, (woken) => woken === 1);
    wakeUps(stage.gateway).ring('submissions');
    await eventually(elsewhere, (woken) => woken === 1);
    expect([own(), there()]).toEqual([10, 1]);
  });

  it('should tell a worker of what an API replica has recorded', async () => {
    const worker = await replica();
    const [webhooks, sends] = [count(worker, 'deliveries'), count(worker, 'submissions')];
    const team = await stage.team();
    expect(idOf(await stage.video(team, stage.callback))).toBeTruthy();
    await eventually(webhooks, (woken) => woken > 0);
    await stage.video(team, stage.callback, { prefer: 'respond-async' });
    await eventually(sends, (woken) => woken > 0);
  });

  it('should work again after its connection broke, and wake everyone then (invariant 14)', async () => {
    const other = await replica();
    const there = count(other, 'looks');
    await stage.sql(`select pg_terminate_backend(pid) from (${CONNECTED}) as c`);
    await eventually(there, (woken) => woken > 0);
    await untilConnected(2);
    const before = there();
    await eventually(
      () => {
        wakeUps(stage.gateway).ring('looks');
        return there();
      },
      (woken) => woken > before,
    );
  });
});
