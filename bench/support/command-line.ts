import { parseArgs } from 'node:util';

/** A benchmark as the command line knows it. */
export interface Benchmark {
  summary: string;
  flags: Record<string, Flag>;
  /** @returns false when its figures cannot be trusted */
  run: (flags: Flags) => Promise<boolean>;
}

export interface Flag {
  placeholder: string;
  help: string;
  /** The value when it is not given; a flag without one may be absent. */
  fallback?: string;
}

/** The command was not understood; the message says why. */
export class UsageError extends Error {}

/** The values of a benchmark's flags, as text until they are read. */
export class Flags {
  constructor(private readonly values: Record<string, string | undefined>) {}

  text(name: string): string | undefined {
    return this.values[name];
  }

  /** @throws UsageError */
  count(name: string): number {
    const number = Number(this.values[name]);
    if (!Number.isInteger(number) || number < 1) throw new UsageError(`--${name} must be a whole number of at least 1`);
    return number;
  }

  /** @throws UsageError */
  counts(name: string): number[] {
    return (this.values[name] ?? '').split(',').map((item) => {
      const number = Number(item);
      if (!Number.isInteger(number) || number < 1)
        throw new UsageError(`--${name}: "${item}" is no whole number of at least 1`);
      return number;
    });
  }

  /** @throws UsageError for what is not one of `known` */
  list<Name extends string>(name: string, known: readonly Name[]): Name[] {
    return (this.values[name] ?? '').split(',').map((item) => {
      const found = known.find((candidate) => candidate === item.trim());
      if (found === undefined) throw new UsageError(`--${name}: "${item}" is none of ${known.join(', ')}`);
      return found;
    });
  }
}

/** @throws UsageError */
export function readFlags({ flags }: Benchmark, args: string[]): Flags | 'help' {
  const entries = Object.entries(flags).map(([name, { fallback }]) => {
    const option = { type: 'string' as const, ...(fallback === undefined ? {} : { default: fallback }) };
    return [name, option] as const;
  });
  const options = { ...Object.fromEntries(entries), help: { type: 'boolean' as const, default: false } };
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({ args, options }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const { help, ...texts } = values;
  return help === true ? 'help' : new Flags(texts as Record<string, string | undefined>);
}

export function helpFor(benchmarks: Record<string, Benchmark>): string {
  const sections = Object.entries(benchmarks).map(([name, { summary, flags }]) => {
    const lines = Object.entries(flags).map(([flag, { placeholder, help, fallback }]) => {
      const otherwise = fallback === undefined || fallback.length > 8 ? '' : `, default ${fallback}`;
      return `    ${`--${flag} ${placeholder}`.padEnd(24)}${help}${otherwise}`;
    });
    return [`  ${name.padEnd(26)}${summary}`, ...lines].join('\n');
  });
  return ['npm run bench [-- <benchmark> [options]]', ...sections, '  --help'].join('\n\n');
}
