import { describe, expect, it } from '@jest/globals';
import { startGateway } from '../../support/gateway.js';
import { idOf, useStage } from '../../support/stage.js';
import { startStatementRelay } from '../../support/statement-relay.js';

const ENV = { TENSORPIX_TIMEOUT_MS: '1000', RECONCILE_GRACE_MS: '400' };
/** The stage's own gateway runs no loops: the looks are those of one that reads its database late. */
const stage = useStage({ env: { ...ENV, GATEWAY_ROLE: 'api' }, simulator: { queueMs: 600_000 } });
/** More than is forgiven of TensorPix's times. */
const LATE_MS = 4_000;

describe('a look that is begun by a statement whose answer comes late', () => {
  it("should not take the call's own job for one that was there before (invariant 2)", async () => {
    const team = await stage.team();
    stage.fault(team, 'error_after_commit', { times: 1 });
    const id = idOf(await stage.video(team));
    await stage.untilRow(id, ({ status }) => status === 'unconfirmed');
    const relay = await startStatementRelay(stage.databaseUrl, { text: 'equalsUnknownSince', ms: LATE_MS });
    const worker = await startGateway(relay.url, stage.simulator.url, { ...ENV, GATEWAY_ROLE: 'worker' });
    try {
      await stage.untilRow(id, ({ tensorpix_id }) => tensorpix_id !== null);
      expect(await stage.eventTypes(id)).toEqual(['job.submitting', 'job.unconfirmed', 'job.adopted', 'job.queued']);
      expect(stage.creates(team)).toBe(1);
    } finally {
      await worker.close();
      await relay.close();
    }
  });
});
