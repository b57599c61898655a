import type { Clients } from './client.js';
import type { Random } from './random.js';
import { acceptedIds, type Submission } from './submission.js';
import type { Violation } from './violation.js';

const MOST = 300;

/** Repeats accepted requests under their keys, long after: the answer is about the same row, and says that it is a repetition. */
export async function checkReplays(
  submissions: readonly Submission[],
  clients: Clients,
  random: Random,
): Promise<{ count: number; violations: Violation[] }> {
  const accepted = submissions.filter((submission) => submission.key !== null && acceptedIds(submission).size === 1);
  const share = Math.min(1, MOST / accepted.length);
  const violations: Violation[] = [];
  let count = 0;
  for (const submission of accepted) {
    if (!random.chance(share)) continue;
    const [id] = acceptedIds(submission);
    const { status, id: repeated, replayed } = await clients.repeat(submission, random);
    count += 1;
    if (repeated === id && replayed) continue;
    const text = `submission ${submission.number} was accepted as ${id}, and repeated answers ${status} ${repeated} (${replayed})`;
    violations.push({ kind: 'two rows', text, urls: [submission.url] });
  }
  return { count, violations };
}
