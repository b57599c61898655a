/**
 * `npm run soak -- --submissions 10000` kills two gateways again and again while clients submit and TensorPix fails, and
 * compares at the end what clients were told, what the database holds and what TensorPix has made and charged.
 * `npm run soak -- --help` tells the flags. The exit code is 1 when anything is wrong.
 */
import { parseArgs } from 'node:util';
import { migrate } from '../prisma/migrate.js';
import { runCrashes } from '../test/support/crash/crash-run.js';
import { KILL_POINTS } from '../test/support/crash/kill-points.js';
import { startPostgres } from './postgres.js';

const HELP = `npm run soak [-- flags]

  --submissions <n>   at least so many; default 1000
  --seed <n>          default SOAK_SEED, else a random one
  --hits <n>          goes on until every kill point was hit so often, default 0: as it comes
  --keep              leaves the database for a look at it
  --help
`;
const MOST_HOURS = 12;

interface Options {
  submissions: number;
  seed: number;
  hits: number;
  keep: boolean;
}

/** Null asks for the help. */
function readOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      submissions: { type: 'string', default: '1000' },
      seed: { type: 'string', default: process.env['SOAK_SEED'] ?? String(Math.floor(Math.random() * 2 ** 31)) },
      hits: { type: 'string', default: '0' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { submissions, seed, hits } = values;
  if (values.help) return null;
  for (const text of [submissions, seed, hits])
    if (!/^\d{1,10}$/.test(text)) throw new RangeError(`not a whole number: ${text} (--help tells the flags)`);
  return { submissions: Number(submissions), seed: Number(seed), hits: Number(hits), keep: values.keep };
}

/** Returns the exit code. */
async function main(): Promise<number> {
  const options = readOptions();
  if (!options) {
    console.log(HELP.trimEnd());
    return 0;
  }
  const { seed, submissions, hits, keep } = options;
  const startMs = performance.now();
  const log = (line: string): void => console.log(`${((performance.now() - startMs) / 1_000).toFixed(0)} s  ${line}`);
  log(`seed ${seed}: ${submissions} submissions; repeat it with --seed ${seed}`);
  const postgres = await startPostgres({ durable: false });
  try {
    await migrate(postgres.adminUrl);
    const { line, violations } = await runCrashes({
      seed,
      submissions,
      clients: 10,
      pace: { longestUpMs: 5_000, stills: 0.05 },
      databaseUrl: postgres.adminUrl,
      points: KILL_POINTS,
      hits,
      longestLoadMs: MOST_HOURS * 3_600_000,
      log,
    });
    if (violations !== '') console.error(violations);
    log(line);
    if (keep) log(`the database is kept: npx tsx dev/postgres-open.ts ${postgres.dataDir}`);
    return violations === '' ? 0 : 1;
  } finally {
    await postgres.stop({ keepData: keep });
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    console.error(`stopped by ${signal}`);
    process.exit(1);
  });
process.exitCode = await main();
