import { unit } from './random.js';

/** Faults before the work is done, around it (`slow`, `garbage`, `body`), and after it (`*_after_commit`). */
export const FAULT_KINDS = [
  'rate_limited',
  'server_error',
  'bad_gateway',
  'no_answer',
  'no_answer_after_commit',
  'reset',
  'reset_after_commit',
  'payment_required',
  'no_credits_400',
  'storage_400',
  'unauthorized',
  'forbidden',
  'slow',
  'garbage',
  'body',
  'error_after_commit',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  kind: FaultKind;
  /** rate_limited: seconds to wait, default 1; null gives neither a header nor a number in the text. */
  retry_after_s?: number | null;
  /** rate_limited: false leaves the Retry-After header out and keeps the text. */
  header?: boolean;
  /** slow: milliseconds. */
  delay_ms?: number;
  /** slow: do the work before the delay instead of after it. garbage (default true), body (default false): do it at all. */
  commit?: boolean;
  /** bad_gateway (default 502), garbage (default: that of the real answer), body (default 200). */
  status?: number;
  /** body: text is sent as it is, anything else as JSON. garbage: the text to send. */
  body?: unknown;
  headers?: Record<string, string>;
  /** What is answered, if anything, waits until the rule is let go. */
  held?: boolean;
}

export interface FaultMatch {
  method?: string;
  /** Start of the path; `*` stands for any characters, a `$` at the end anchors the end: `/api/jobs/$`. */
  path?: string;
  /** The exact token. */
  token?: string;
}

/** Applied to the requests that match; the first rule that fits a request wins. */
export interface FaultRule {
  match?: FaultMatch;
  /** Number of requests it applies to; default unlimited. */
  times?: number;
  /** 0 to 1, decided by the seed; default 1. */
  probability?: number;
  fault: Fault | FaultKind;
}

/** A rule as it is kept. */
export interface ActiveFault {
  readonly id: number;
  readonly rule: FaultRule;
  /** Requests it was applied to. */
  applied: number;
  /** Of these, how many have an answer that waits. */
  readonly held: number;
}

/** What applies to a request. */
export interface TakenFault {
  readonly fault: Fault;
  /** Resolves when the answer may be given. */
  readonly mayAnswer: () => Promise<void>;
}

interface Compiled extends Omit<ActiveFault, 'held'> {
  readonly fault: Fault;
  readonly path: RegExp | null;
  seen: number;
  /** Answers that wait; null: nothing waits any more. */
  waiting: (() => void)[] | null;
}

/** The rules in force, in order of their arrival. */
export class FaultBook {
  private rules: Compiled[] = [];
  private nextId = 1;

  constructor(private readonly seed: number) {}

  /** Throws a RangeError for an unknown kind. */
  add(rule: FaultRule): ActiveFault {
    const fault = typeof rule.fault === 'string' ? { kind: rule.fault } : rule.fault;
    if (!FAULT_KINDS.includes(fault?.kind)) throw new RangeError(`fault must be one of ${FAULT_KINDS.join(', ')}`);
    const path = rule.match?.path === undefined ? null : compilePath(rule.match.path);
    const waiting = fault.held === true ? [] : null;
    const compiled: Compiled = { id: this.nextId++, rule, fault, path, applied: 0, seen: 0, waiting };
    this.rules.push(compiled);
    return shown(compiled);
  }

  list(): ActiveFault[] {
    return this.rules.map(shown);
  }

  /** Gives the answers that the rule holds, and holds none any more. */
  letGo(id: number): void {
    for (const entry of this.rules) if (entry.id === id) letGo(entry);
  }

  remove(id: number): void {
    this.letGo(id);
    this.rules = this.rules.filter((entry) => entry.id !== id);
  }

  clear(): void {
    for (const entry of this.rules) letGo(entry);
    this.rules = [];
  }

  /** As after the start: probabilities repeat, since they are decided by seed and rule id. */
  reset(): void {
    this.clear();
    this.nextId = 1;
  }

  /** The fault for a request, counted as applied; null if none. `path` is without the query. */
  take(method: string, path: string, token: string | null): TakenFault | null {
    for (const entry of this.rules) {
      if (!this.fits(entry, method, path, token)) continue;
      entry.applied++;
      return { fault: entry.fault, mayAnswer: () => new Promise((resolve) => wait(entry, resolve)) };
    }
    return null;
  }

  private fits(entry: Compiled, method: string, path: string, token: string | null): boolean {
    const { match, times = Infinity, probability = 1 } = entry.rule;
    if (entry.applied >= times) return false;
    if (match?.method !== undefined && match.method.toUpperCase() !== method) return false;
    if (match?.token !== undefined && match.token !== token) return false;
    if (entry.path !== null && !entry.path.test(path)) return false;
    return probability >= 1 || unit(this.seed, entry.id, ++entry.seen) < probability;
  }
}

function shown({ id, rule, applied, waiting }: Compiled): ActiveFault {
  return { id, rule, applied, held: waiting?.length ?? 0 };
}

function wait({ waiting }: Compiled, answer: () => void): void {
  if (waiting === null) answer();
  else waiting.push(answer);
}

function letGo(entry: Compiled): void {
  const { waiting } = entry;
  entry.waiting = null;
  for (const answer of waiting ?? []) answer();
}

function compilePath(pattern: string): RegExp {
  const anchored = pattern.endsWith('$');
  const text = anchored ? pattern.slice(0, -1) : pattern;
  const escaped = text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${escaped}${anchored ? '$' : ''}`);
}
