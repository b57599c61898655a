/**
 * `npm run soak:polling -- --minutes 60` follows jobs with three gateways that are killed and stopped again and again, while
 * TensorPix answers oddly, and compares at the end what is recorded with what TensorPix holds. The exit code is 1 when
 * anything is wrong.
 */
import { parseArgs } from 'node:util';
import { migrate } from '../prisma/migrate.js';
import { soakPolling } from '../test/support/polling-soak/soak-run.js';
import { startPostgres } from './postgres.js';

const text = (fallback: string) => ({ type: 'string', default: fallback }) as const;
const { values } = parseArgs({ options: { minutes: text('60'), jobs: text('500'), seed: text('1') } });
const [minutes = 0, jobs = 0, seed = 0] = [values.minutes, values.jobs, values.seed].map(Number);
if (![minutes, jobs, seed].every((value) => Number.isFinite(value) && value > 0))
  throw new RangeError('--minutes, --jobs and --seed must be numbers above 0');

const startMs = performance.now();
const log = (line: string): void => console.log(`${((performance.now() - startMs) / 1_000).toFixed(0)} s  ${line}`);
const postgres = await startPostgres({ durable: false });
try {
  await migrate(postgres.adminUrl);
  const { line, violations } = await soakPolling({ databaseUrl: postgres.adminUrl, minutes, jobs, seed, log });
  for (const violation of violations.slice(0, 50)) console.error(violation);
  log(`seed ${seed}: ${line}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
} finally {
  await postgres.stop();
}
