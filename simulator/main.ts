import { parseArgs } from 'node:util';
import { startSimulator } from './simulator.js';

const HELP = `A TensorPix that runs on this machine.

  --port <n>          default 4010
  --host <address>    default 127.0.0.1
  --token <key>       a known token, repeatable; default demo-token
  --credits <n>       Credits of each account, default 1000000
  --pace <x>          multiplier on queue time and duration, default 1
  --queue-ms <n>      time in queue, default 2000
  --duration-ms <n>   processing time, default 20000
  --jitter <0..1>     spread of both, default 0.3
  --url-ttl-s <n>     lifetime of result URLs, default 3600
  --page-max <n>      largest page, default 100
  --request-log <n>   requests kept in the log, 0 for none, default 10000
  --seed <n>          default 1
  --help
`;

/** Flags with a number, and the option each one sets. */
const NUMBER_FLAGS = {
  port: 'port',
  credits: 'credits',
  pace: 'pace',
  'queue-ms': 'queueMs',
  'duration-ms': 'durationMs',
  jitter: 'jitter',
  'url-ttl-s': 'urlTtlS',
  'page-max': 'pageMax',
  'request-log': 'requestLogSize',
  seed: 'seed',
} as const;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    ...(Object.fromEntries(Object.keys(NUMBER_FLAGS).map((flag) => [flag, text])) as Record<
      keyof typeof NUMBER_FLAGS,
      typeof text
    >),
    host: { type: 'string', default: '127.0.0.1' },
    token: { type: 'string', multiple: true, default: ['demo-token'] },
    help: { type: 'boolean', default: false },
  },
});

/** The numbers that were given, by option; throws a RangeError for what is no number. */
function readNumbers(): Record<string, number> {
  const numbers: Record<string, number> = { port: 4010, jitter: 0.3 };
  for (const [flag, option] of Object.entries(NUMBER_FLAGS)) {
    const given = values[flag as keyof typeof NUMBER_FLAGS];
    if (given === undefined) continue;
    if (!/^\d+(\.\d+)?$/.test(given)) throw new RangeError(`--${flag}: "${given}" is not a number of at least 0`);
    numbers[option] = Number(given);
  }
  return numbers;
}

if (values.help) {
  console.log(HELP);
} else {
  const simulator = await startSimulator({ ...readNumbers(), host: values.host, tokens: values.token });
  console.log(`TensorPix simulator at ${simulator.url}, control API at ${simulator.url}/_sim/`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void simulator.close());
}
