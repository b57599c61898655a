import { describe, expect, it } from '@jest/globals';
import { runCrashes } from '../support/crash/crash-run.js';
import type { KillPoint } from '../support/crash/kill-points.js';
import { useDatabase } from '../support/database.js';

/** The points that every submission or every look passes, so that a short run is sure to hit each of them. */
const POINTS: KillPoint[] = [
  'before intent',
  'after intent',
  'before call',
  'during call',
  'after call',
  'before outcome',
  'after outcome',
  'before claim',
  'after claim',
  'before look claim',
  'after look claim',
  'during job list',
  'during result list',
  'before verdict',
  'after verdict',
];
const HITS = 2;

const database = useDatabase();

/** Shown even where the test runner keeps the console silent. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

describe('two gateways that are killed again and again while TensorPix fails', () => {
  it('should lose no job, pay for none twice, adopt no foreign one, and leave none behind', async () => {
    const seed = Number(process.env['SOAK_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    say(`seed ${seed}: repeat it with SOAK_SEED=${seed}`);
    const { line, violations, hits } = await runCrashes({
      seed,
      databaseUrl: database.url(),
      submissions: 300,
      clients: 6,
      pace: { longestUpMs: 800, stills: 0.04 },
      points: POINTS,
      hits: HITS,
      longestLoadMs: 450_000,
      log: (progress) => console.log(progress),
    });
    say(line);
    expect(violations).toBe('');
    expect(POINTS.filter((point) => (hits.get(point) ?? 0) < HITS)).toEqual([]);
  }, 900_000);
});
