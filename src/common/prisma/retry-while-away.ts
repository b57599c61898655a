import { isPassing } from './database-errors.js';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/**
 * Repeats a statement while the database is away or busy with somebody else's locks, for at most so long. Only for statements that are safe to repeat after
 * an unknown outcome: fenced updates, and inserts that ignore their own row.
 */
export async function retryWhileAway<T>(forMs: number, run: () => Promise<T>): Promise<T> {
  const untilMs = performance.now() + forMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
    try {
      return await run();
    } catch (error) {
      if (!isPassing(error) || performance.now() + pauseMs > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
