/** The gateway's own client, comparison and writes, without its sweeps: every job every ten seconds by its id. */
import pg from 'pg';
import { followById, tokenOf } from './by-id-plan.js';
import { serveCount } from './observation-counter.js';
import { loadBuilt } from '../support/built.js';

const { createApp } = await loadBuilt<typeof import('../../src/app.setup.js')>('app.setup.js');
const { parseConfig } = await loadBuilt<typeof import('../../src/common/config/config.js')>('common/config/config.js');
const { Logger } = await loadBuilt<typeof import('../../src/common/logging/logger.js')>('common/logging/logger.js');
const { TensorpixClient } = await loadBuilt<typeof import('../../src/modules/tensorpix/tensorpix.client.js')>(
  'modules/tensorpix/tensorpix.client.js',
);
const { ObservationsStore } = await loadBuilt<typeof import('../../src/modules/jobs/polling/observations.store.js')>(
  'modules/jobs/polling/observations.store.js',
);
const { JobChangesStore } = await loadBuilt<typeof import('../../src/modules/jobs/job-changes.store.js')>(
  'modules/jobs/job-changes.store.js',
);
const { observe } = await loadBuilt<typeof import('../../src/modules/jobs/job-observation.js')>(
  'modules/jobs/job-observation.js',
);

const config = parseConfig({ ...process.env, GATEWAY_ROLE: 'api' });
const app = await createApp(config, new Logger(config.logLevel));
const client = app.get(TensorpixClient, { strict: false });
const observations = app.get(ObservationsStore, { strict: false });
const changes = app.get(JobChangesStore, { strict: false });
const counter = serveCount(Number(process.env['PORT']));
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 1 });
const LEASE = '00000000-0000-7000-8000-000000000000';
await pool.query(`update tenant_paces set poll_lease_token = $1, poll_lease_expires_at = now() + interval '1 day'`, [
  LEASE,
]);

await followById(pool, async ({ tensorpixId, tenantId, tenantNumber }) => {
  const outcome = await client.getJob(tokenOf(tenantNumber), tensorpixId);
  if (outcome.kind !== 'ok') throw new Error(`TensorPix: ${outcome.kind}`);
  counter.add(1);
  for (const { job, time } of await observations.findChanged(tenantId, LEASE, [outcome.value])) {
    const observed = observe(job, outcome.value, time.now());
    if ('change' in observed) await changes.apply(observed.change, { pollLease: LEASE });
  }
  return outcome.value.status !== 'queued' && outcome.value.status !== 'processing';
});
