/** What all contestants have in common. */

/** Receivers are ten origins, so that one of them is a tenth. */
export const ORIGINS = 10;

/** Attempts under way at once in the contestants; the gateway's dispatcher has its own bounds. */
export const IN_FLIGHT = 256;

/** Wall clock of an attempt; a delivery to a dead receiver is given up after it and not retried. */
export const ATTEMPT_TIMEOUT_MS = 2_000;

/** How long a slow receiver takes to answer. */
export const SLOW_ANSWER_MS = 50;

/** The second measurement: deliveries that become due one by one, far below what anybody can do. */
export const LIGHT_PER_SECOND = 200;
export const LIGHT_SECONDS = 10;

export type ScenarioName = 'fast' | 'slow' | 'dead';

/** Base URLs of the receivers by what they do: answer at once, answer after a while, never answer. */
export interface ReceiverOrigins {
  fast: string[];
  slow: string[];
  dead: string[];
}

export interface Scenario {
  name: ScenarioName;
  label: string;
  origins: (receivers: ReceiverOrigins) => string[];
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'fast', label: 'Receivers answer at once', origins: ({ fast }) => fast },
  { name: 'slow', label: `Receivers answer after ${SLOW_ANSWER_MS} ms`, origins: ({ slow }) => slow },
  {
    name: 'dead',
    label: `One of ${ORIGINS} receivers never answers`,
    origins: ({ fast, dead }) => [...fast.slice(1), ...dead],
  },
];
