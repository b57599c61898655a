import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { startContestants, type Contestant } from './contestants.js';
import { readGatewayCommits, startDatabases } from './databases.js';
import { runRounds, type Plan } from './measurement.js';
import { formatReport } from './report.js';
import { verify } from './verification.js';

export interface IngressOptions extends Plan {
  /** Each server writes a CPU profile here. */
  profileDir: string | undefined;
}

/**
 * Creates a second and latency of `POST /v1/jobs`, side by side with (a) the simulator itself, (b) a proxy that records
 * nothing and (c) the obvious stack. Prints the report.
 *
 * @returns false when a create was lost, doubled or refused
 */
export async function runIngress(options: IngressOptions): Promise<boolean> {
  const logDir = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorpix-gateway-bench-'));
  const databases = await startDatabases();
  const stopped: Contestant[] = [];
  try {
    const contestants = await startContestants(databases, { logDir, profileDir: options.profileDir });
    stopped.push(...contestants.all);
    const commitsBefore = await readGatewayCommits(databases);
    const rounds = await runRounds(contestants.all, databases.serverPid, options, (line) => console.error(line));
    const checks = await verify(contestants, databases, rounds);
    // Only an ended session has certainly reported its transactions.
    await stopAll(stopped.splice(0));
    const commits = (await readGatewayCommits(databases)) - commitsBefore;
    const created = rounds.tallies.get('gateway')?.created ?? 0;
    console.log(formatReport(contestants.all, options, rounds, commits / created, checks));
    return checks.every(({ holds }) => holds);
  } finally {
    await stopAll(stopped);
    await databases.server.stop();
    await fs.rm(logDir, { recursive: true, force: true });
  }
}

async function stopAll(contestants: Contestant[]): Promise<void> {
  for (const { process } of contestants) await process.stop();
}
