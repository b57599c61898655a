/** What one writes first: every job every ten seconds by `axios.get`, and an update when something has changed. */
import axios from 'axios';
import pg from 'pg';
import { followById, tokenOf } from './by-id-plan.js';
import { serveCount } from './observation-counter.js';

const { DATABASE_URL = '', TENSORPIX_BASE_URL = '', PORT } = process.env;
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 10 });
const counter = serveCount(Number(PORT));
const STATUS = new Map([
  [0, 'queued'],
  [1, 'processing'],
  [2, 'finished'],
  [-1, 'failed'],
  [-2, 'canceled'],
]);

await followById(pool, async ({ id, tensorpixId, tenantNumber }) => {
  const headers = { authorization: `Token ${tokenOf(tenantNumber)}` };
  const { data } = await axios.get<{ status: number; processing_progress: number; eta_s: number }>(
    `${TENSORPIX_BASE_URL}/api/jobs/${tensorpixId}/`,
    { headers },
  );
  counter.add(1);
  const status = STATUS.get(data.status) ?? 'processing';
  await pool.query(
    'update jobs set status = $2, progress = $3, eta_seconds = $4, finished_at = case when $2 = $5 then now() end where id = $1',
    [id, status, data.processing_progress, data.eta_s, 'finished'],
  );
  return status !== 'processing' && status !== 'queued';
});
