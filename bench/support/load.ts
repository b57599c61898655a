import { Pool, type Dispatcher } from 'undici';

/** Requests that differ only by their number. */
export interface Target {
  origin: string;
  path: string;
  headers: Record<string, string>;
  body: (number: number) => string;
}

export interface LoadResult {
  /** Answers, whatever their status. */
  answers: number;
  seconds: number;
  /** Ascending. Milliseconds. */
  latenciesMs: Float64Array;
  /** Answers by status, and requests without an answer under the error's code. */
  outcomes: Map<string, number>;
}

let requests = 0;

/**
 * Sends POST requests in a closed loop: every connection has one request under way until the time is over. What is then
 * under way is waited for and counted. A new pool each time, so that no measurement inherits connections.
 */
export async function runLoad(target: Target, connections: number, seconds: number): Promise<LoadResult> {
  const pool = new Pool(target.origin, { connections, pipelining: 1 });
  const latenciesMs: number[] = [];
  const outcomes = new Map<string, number>();
  const startMs = performance.now();
  const untilMs = startMs + seconds * 1_000;
  const loop = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const sentMs = performance.now();
      const outcome = await post(pool, target);
      latenciesMs.push(performance.now() - sentMs);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: connections }, loop));
  const elapsedSeconds = (performance.now() - startMs) / 1_000;
  await pool.close();
  return {
    answers: latenciesMs.length,
    seconds: elapsedSeconds,
    latenciesMs: Float64Array.from(latenciesMs).sort(),
    outcomes,
  };
}

/** `share` 0.5 is the median. */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;
}

export function median(values: number[]): number {
  const ascending = [...values].sort((a, b) => a - b);
  const middle = ascending.length >> 1;
  return ascending.length % 2 === 1 ? ascending[middle]! : (ascending[middle - 1]! + ascending[middle]!) / 2;
}

/** `dispatch` costs half of what `request` does: the generator shares the machine with what it measures. */
function post(pool: Pool, { path, headers, body }: Target): Promise<string> {
  return new Promise((resolve) => {
    let status = 0;
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart: (_, statusCode) => void (status = statusCode),
      onResponseData: () => undefined,
      onResponseEnd: () => resolve(String(status)),
      onResponseError: (_, error) => resolve((error as NodeJS.ErrnoException).code ?? error.name),
    };
    pool.dispatch({ method: 'POST', path, headers, body: body((requests += 1)) }, handler);
  });
}
