import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { useDatabase } from '../support/database.js';
import { runCrashes } from '../support/webhook-crash/crash-run.js';
import { runOutage } from '../support/webhook-crash/outage-run.js';
import { WebhookStage } from '../support/webhook-crash/webhook-stage.js';

const MOST_SHOWN = 20;
const LOAD = { kills: 8, stills: 2, teams: 10, clients: 5 };

const database = useDatabase();
let stage: WebhookStage;

beforeAll(async () => {
  const seed = Number(process.env['WEBHOOK_CRASH_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  say(`seed ${seed}: repeat it with WEBHOOK_CRASH_SEED=${seed}`);
  stage = await WebhookStage.open(seed, database.url());
}, 180_000);

afterAll(() => stage?.close());

/** Shown even where the test runner keeps the console silent. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

describe('workers that are killed again and again while they send webhooks', () => {
  it('should lose none, keep the order, and repeat one at most once for each kill', async () => {
    const { line, violations, killsMidPost } = await runCrashes(stage, LOAD);
    say(line);
    expect(violations.slice(0, MOST_SHOWN)).toEqual([]);
    // Without these nothing was shown.
    expect(killsMidPost).toBeGreaterThan(0);
  }, 600_000);
});

describe('receivers that are away for longer than several steps of the schedule', () => {
  it('should get everything in order once they are back, whether they refused connections or answered 503', async () => {
    const results = await Promise.all([runOutage(stage, 'refuses connections'), runOutage(stage, 'answers 503')]);
    for (const { line } of results) say(line);
    expect(results.flatMap(({ violations }) => violations.slice(0, MOST_SHOWN))).toEqual([]);
  }, 400_000);
});
