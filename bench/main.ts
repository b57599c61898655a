/**
 * `npm run bench [-- <name> [options]]`: see docs/benchmarks.md.
 */
import { parseArgs } from 'node:util';
import { runIngress } from './ingress/ingress.js';

const HELP = `npm run bench [-- ingress [options]]

  ingress              creates a second and latency of POST /v1/jobs (the default)

  --seconds <n>        of each measurement, default 8
  --connections <n>    requests under way at once, default 50
  --rounds <n>         default 3
  --cpu-prof <dir>     each server writes a CPU profile there
  --help
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '8' },
    connections: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '3' },
    'cpu-prof': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** @throws RangeError */
function readNumber(flag: 'seconds' | 'connections' | 'rounds'): number {
  const number = Number(values[flag]);
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${flag} must be a whole number of at least 1`);
  return number;
}

async function main(): Promise<boolean> {
  const [name = 'ingress', ...rest] = positionals;
  if (values.help || name !== 'ingress' || rest.length > 0) {
    console.log(HELP);
    return values.help;
  }
  return runIngress({
    seconds: readNumber('seconds'),
    connections: readNumber('connections'),
    rounds: readNumber('rounds'),
    profileDir: values['cpu-prof'],
  });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.exitCode = (await main()) ? 0 : 1;
