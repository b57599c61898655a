/** Exponential backoff with full jitter above half: between half and all of `base * 2^failures`, capped. Milliseconds. */
export function backoffMs(failures: number, baseMs: number, capMs: number, random: () => number = Math.random): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(failures, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}

/** Adds up to `fraction` of the delay: a jitter that never shortens (contract, section 7). Milliseconds. */
export function withAddedJitterMs(delayMs: number, fraction: number, random: () => number = Math.random): number {
  return Math.round(delayMs * (1 + fraction * random()));
}
