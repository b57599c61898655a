import { createHash } from 'node:crypto';
import type { CallOutcome } from './call-outcome.js';
import { CircuitBreaker, FAILURES_UNTIL_OPEN, type Health, type Pass } from './circuit-breaker.js';

/** A token by itself counts for so many of the calls that open the circuit of all: its account may be what is broken. */
const MOST_OF_ONE_TOKEN = FAILURES_UNTIL_OPEN / 2;
/** Tokens whose last call was not served; those that were replaced then are never called again. */
const MAX_TOKENS = 10_000;

/**
 * What a call says of TensorPix. `unreachable`: of its host. `failing`: it was reached and did not serve, whoever asked or this
 * token only. A refusal, 429 included, is an answer.
 */
export type CallHealth = 'up' | 'unreachable' | 'failing' | 'unclear';

/** What the outcome of a call says of TensorPix. */
export function healthOf(outcome: CallOutcome<unknown>): CallHealth {
  if (outcome.kind === 'ok' || outcome.kind === 'refused') return 'up';
  // A call that found no free connection in time tells of this process, and a strange answer is an answer.
  if (outcome.kind === 'not_sent') return outcome.reason === 'unreachable' ? 'unreachable' : 'unclear';
  return outcome.reason === 'unusable_answer' ? 'unclear' : 'failing';
}

/** Given back with `leave`, whatever becomes of the call. */
export interface Passage {
  key: string;
  host: Pass;
  /** null when the token's last call was served */
  own: { breaker: CircuitBreaker; pass: Pass } | null;
}

/**
 * The circuit of TensorPix's host and, within it, one of each token that is not served: an account whose calls fail, or time
 * out, is left alone without holding up the other tenants (invariant 16). Only what several tokens meet, or no token can
 * reach, opens the circuit of all. Those of tokens are this replica's own.
 */
export class Circuits {
  private readonly ofTokens = new Map<string, CircuitBreaker>();

  constructor(
    private readonly ofHost: CircuitBreaker,
    private readonly nowMs?: () => number,
  ) {}

  /** Tokens for which nothing is sent now. */
  get openTokens(): number {
    let open = 0;
    for (const breaker of this.ofTokens.values()) if (breaker.isOpen) open += 1;
    return open;
  }

  /** `waitMs`: nothing may be sent with this token now, and for so long it makes no sense to try. */
  enter(token: string): Passage | { waitMs: number } {
    const key = keyOf(token);
    const breaker = this.ofTokens.get(key);
    const pass = breaker?.enter();
    if (breaker && !pass) return { waitMs: breaker.waitMs };
    const own = breaker && pass ? { breaker, pass } : null;
    const host = this.ofHost.enter();
    if (host) return { key, host, own };
    own?.breaker.leave(own.pass, 'unclear');
    return { waitMs: this.ofHost.waitMs };
  }

  leave(passage: Passage, health: CallHealth): void {
    const counted = this.leaveToken(passage, health);
    this.ofHost.leave(passage.host, hostHealth(health, counted || passage.host.probes));
  }

  /** @returns whether a failure of this token still says something of the host */
  private leaveToken({ key, own }: Passage, health: CallHealth): boolean {
    if (health === 'up') this.ofTokens.delete(key);
    if (health !== 'failing') {
      own?.breaker.leave(own.pass, 'unclear');
      return false;
    }
    const breaker = this.ofTokens.get(key) ?? this.add(key);
    breaker.leave(own?.breaker === breaker ? own.pass : { probes: false }, 'down');
    return breaker.failuresInARow <= MOST_OF_ONE_TOKEN;
  }

  private add(key: string): CircuitBreaker {
    if (this.ofTokens.size >= MAX_TOKENS) this.ofTokens.clear();
    const breaker = new CircuitBreaker(undefined, this.nowMs);
    this.ofTokens.set(key, breaker);
    return breaker;
  }
}

function hostHealth(health: CallHealth, counts: boolean): Health {
  if (health === 'unreachable') return 'down';
  if (health === 'failing') return counts ? 'down' : 'unclear';
  return health;
}

/** Tokens stay in memory no longer than a call. */
function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
