import { checkClients } from './client-checks.js';
import { checkUpstream } from './upstream-checks.js';
import { sourceOf, type Evidence, type Violation } from './violation.js';

/** Everything that must never be and is. */
export async function findViolations(evidence: Evidence): Promise<Violation[]> {
  return [...checkEnd(evidence), ...(await checkClients(evidence)), ...(await checkUpstream(evidence))];
}

/** All has come to its end: rows, decisions, webhooks; and no process ended by itself. */
function checkEnd({ stuck, person, undelivered, replicas }: Evidence): Violation[] {
  const rows = stuck.map((row): Violation => {
    const { id, status, status_reason } = row;
    return { kind: 'stuck', text: `${id} stays ${status} (${status_reason})`, urls: [sourceOf(row)] };
  });
  const refusals = person.refusals.map((text): Violation => ({ kind: 'stuck', text, urls: [] }));
  const exits = replicas
    .filter(({ exits }) => exits > 0)
    .map(({ name, log }): Violation => ({ kind: 'exit', text: `${name}: ${log.slice(-5).join('\n')}`, urls: [] }));
  const webhooks: Violation[] =
    undelivered === 0 ? [] : [{ kind: 'webhook', text: `${undelivered} webhooks were not delivered`, urls: [] }];
  return [...rows, ...refusals, ...exits, ...webhooks];
}
