import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { DeliveryOutcomesStore, type DeliveryOutcome } from '../../../src/modules/webhooks/delivery-outcomes.store.js';
import { startGateway, type Gateway } from '../../support/gateway.js';
import { startLossyRelay, type LossyRelay } from '../../support/lossy-relay.js';
import { useStage } from '../../support/stage.js';
import { INSERT_LATER, insertUnderWay, RECORD } from './under-way.js';

/** Nobody claims or sends. */
const ROLE = { GATEWAY_ROLE: 'api' };
const stage = useStage({ env: ROLE });

let tenantId: string;
let relay: LossyRelay;
let gateway: Gateway;

beforeAll(async () => {
  tenantId = (await stage.team()).id;
  relay = await startLossyRelay(stage.databaseUrl, 'insert into webhook_attempts');
  gateway = await startGateway(relay.url, stage.simulator.url, ROLE);
});

afterAll(async () => {
  await gateway?.close();
  await relay?.close();
});

describe('an outcome whose answer is lost after its commit', () => {
  it.each<[DeliveryOutcome['status'], object]>([
    ['delivered', { more: true, lost: false }],
    ['failing', { lost: false }],
    ['exhausted', { more: true, lost: true }],
  ])('should stand in the log once, and count as written: %s', async (status, told) => {
    const leaseToken = randomUUID();
    const delivery = await insertUnderWay(stage, tenantId, leaseToken);
    await stage.sql(INSERT_LATER, [delivery.id, 3, 'job.processing']);
    const { lost } = relay.losses;
    relay.losses.next = 1;
    const marked = await gateway.app.get(DeliveryOutcomesStore, { strict: false }).mark({
      ...{ delivery, leaseToken, status, retryInMs: status === 'failing' ? 60_000 : null },
      ...{ error: status === 'delivered' ? null : 'no', attempt: RECORD },
    });
    expect(relay.losses.lost).toBe(lost + 1);
    expect(marked).toMatchObject({ written: true, ...told });
    const rows = await stage.sql(
      `select status, attempts, (select count(*)::int from webhook_attempts a where a.delivery_id = d.id) as log
         from webhook_deliveries d where id = $1`,
      [delivery.id],
    );
    expect(rows).toEqual([{ status, attempts: 1, log: 1 }]);
  });
});

describe('an outcome whose claim is gone', () => {
  it('should not count as written', async () => {
    const delivery = await insertUnderWay(stage, tenantId, randomUUID());
    const marked = await gateway.app.get(DeliveryOutcomesStore, { strict: false }).mark({
      ...{ delivery, leaseToken: randomUUID(), status: 'failing', retryInMs: 60_000 },
      ...{ error: 'no', attempt: RECORD },
    });
    expect(marked.written).toBe(false);
  });
});
