import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { ContestantName } from './contestants.js';
import { startLineUp } from './line-up.js';
import { Receiver } from './receiver.js';
import { formatReport } from './report.js';
import { runRounds, type Plan } from './rounds.js';
import { addUp, judge } from './verification.js';

export interface WebhooksOptions extends Plan {
  contestants: readonly ContestantName[];
  /** Each process writes a CPU profile here. */
  profileDir: string | undefined;
}

const LOG_TAIL_LENGTH = 2_000;

/**
 * Deliveries a second and latency of webhooks, side by side with (a) signing and sending alone, (a+) the same with plain
 * rows in Postgres, and the same work done by (b) graphile-worker, (c) pg-boss and (d) BullMQ. Prints the report.
 *
 * @returns false when a delivery was lost, repeated or not signed
 */
export async function runWebhooks(options: WebhooksOptions): Promise<boolean> {
  const logDir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'tensorpix-gateway-bench-'));
  const spawnOptions = { logDir, profileDir: options.profileDir };
  process.once('exit', () => fs.rmSync(logDir, { recursive: true, force: true }));
  const ends: (() => Promise<void>)[] = [];
  try {
    const receiver = await Receiver.start(spawnOptions);
    ends.unshift(() => receiver.stop());
    const lineUp = await startLineUp(options.contestants, spawnOptions);
    ends.unshift(() => lineUp.stop());
    const rounds = await runRounds(lineUp.entrants, receiver, options, (line) => console.error(line));
    const checks = lineUp.entrants.flatMap((entrant) =>
      judge(entrant, addUp(rounds.tallies.get(entrant.contestant.name) ?? [])),
    );
    console.log(formatReport(lineUp, options, rounds, checks));
    return checks.length > 0 && checks.every(({ holds }) => holds);
  } catch (error) {
    console.error(readTails(logDir));
    throw error;
  } finally {
    for (const end of ends) await end();
  }
}

/** The end of what each process has said: when one ends early, its log says why. */
function readTails(logDir: string): string {
  const tails = fs.readdirSync(logDir).map((name) => {
    const tail = fs.readFileSync(path.join(logDir, name), 'utf8').slice(-LOG_TAIL_LENGTH);
    return tail === '' ? '' : `${name}:\n${tail}\n`;
  });
  return tails.join('');
}
