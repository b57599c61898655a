/**
 * `npm run bench [-- <name> [options]]`: see docs/benchmarks.md.
 */
import { runClaims } from './claims/claims.js';
import { runIngress } from './ingress/ingress.js';
import { runHistory } from './polling/history.js';
import { runPace } from './polling/pace.js';
import { runPolling } from './polling/polling.js';
import { helpFor, readFlags, UsageError, type Benchmark } from './support/command-line.js';
import { CONTESTANT_NAMES } from './webhooks/contestants.js';
import { runWebhooks } from './webhooks/webhooks.js';

const PROFILE = { placeholder: '<dir>', help: 'each process writes a CPU profile there' };

const INGRESS: Benchmark = {
  summary: 'creates a second and latency of POST /v1/jobs (the default)',
  flags: {
    seconds: { placeholder: '<n>', help: 'of each measurement', fallback: '8' },
    connections: { placeholder: '<n>', help: 'requests under way at once', fallback: '50' },
    rounds: { placeholder: '<n>', help: 'of which the medians are shown', fallback: '3' },
    'cpu-prof': PROFILE,
  },
  run: (flags) =>
    runIngress({
      seconds: flags.count('seconds'),
      connections: flags.count('connections'),
      rounds: flags.count('rounds'),
      profileDir: flags.text('cpu-prof'),
    }),
};

const WEBHOOKS: Benchmark = {
  summary: 'deliveries a second and latency of webhooks, beside three job queues',
  flags: {
    deliveries: { placeholder: '<n>', help: 'of each measurement', fallback: '10000' },
    rounds: { placeholder: '<n>', help: 'of which the medians are shown', fallback: '3' },
    contestants: { placeholder: '<a,b>', help: CONTESTANT_NAMES.join(', '), fallback: CONTESTANT_NAMES.join(',') },
    'cpu-prof': PROFILE,
  },
  run: (flags) =>
    runWebhooks({
      deliveries: flags.count('deliveries'),
      rounds: flags.count('rounds'),
      contestants: flags.list('contestants', CONTESTANT_NAMES),
      profileDir: flags.text('cpu-prof'),
    }),
};

const POLLING: Benchmark = {
  summary: 'following jobs by sweeps, and job by job',
  flags: {
    seconds: { placeholder: '<n>', help: 'of each measurement', fallback: '60' },
    jobs: { placeholder: '<a,b>', help: 'jobs under way', fallback: '1000,10000,100000' },
    tenants: { placeholder: '<a,b>', help: 'tenants that have them', fallback: '1,100,1000' },
    workers: { placeholder: '<a,b>', help: 'worker processes', fallback: '1,3' },
    'cpu-prof': PROFILE,
  },
  run: (flags) => {
    const [jobs, tenants, workers] = [flags.counts('jobs'), flags.counts('tenants'), flags.counts('workers')];
    const scales = jobs.flatMap((j) =>
      tenants.flatMap((t) => workers.map((w) => ({ jobs: j, tenants: t, workers: w }))),
    );
    return runPolling({ seconds: flags.count('seconds'), scales, profileDir: flags.text('cpu-prof') });
  },
};

const PACE: Benchmark = {
  summary: 'delay against calls of the pace of looks, simulated',
  flags: {
    hours: { placeholder: '<n>', help: 'simulated', fallback: '200' },
    seed: { placeholder: '<n>', help: 'of the durations', fallback: '1' },
    svg: { placeholder: '<file>', help: 'a plot is written there' },
  },
  run: (flags) =>
    Promise.resolve(runPace({ hours: flags.count('hours'), seed: flags.count('seed'), svgFile: flags.text('svg') })),
};

const HISTORY: Benchmark = {
  summary: 'what operations read in Postgres beside many ended jobs',
  flags: { jobs: { placeholder: '<n>', help: 'that have ended', fallback: '1000000' } },
  run: (flags) => runHistory({ jobs: flags.count('jobs') }),
};

const CLAIMS: Benchmark = {
  summary: 'what a claimed job costs Postgres when tenants take turns',
  flags: {
    tenants: { placeholder: '<a,b>', help: 'tenants with waiting jobs', fallback: '1,10,100,1000' },
    rounds: { placeholder: '<n>', help: 'of which the medians are shown', fallback: '5' },
  },
  run: (flags) => runClaims({ tenants: flags.counts('tenants'), rounds: flags.count('rounds') }),
};

const BENCHMARKS: Record<string, Benchmark> = {
  ingress: INGRESS,
  webhooks: WEBHOOKS,
  polling: POLLING,
  pace: PACE,
  history: HISTORY,
  claims: CLAIMS,
};

async function main([first, ...rest]: string[]): Promise<boolean> {
  const named = first !== undefined && !first.startsWith('-');
  const name = named ? first : 'ingress';
  const args = named || first === undefined ? rest : [first, ...rest];
  const benchmark = BENCHMARKS[name];
  if (!benchmark) throw new UsageError(`there is no benchmark "${name}"`);
  const flags = readFlags(benchmark, args);
  if (flags !== 'help') return benchmark.run(flags);
  console.log(helpFor(BENCHMARKS));
  return true;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${helpFor(BENCHMARKS)}`);
  process.exitCode = 1;
}
