import { Prisma } from '../../../generated/prisma/client.js';
import { DUE_NOW } from '../../../common/prisma/due-now.sql.js';
import type { JobRecord } from '../job-record.js';

/** The others wake by themselves: an id that was bound must not wait for thousands of neighbours. */
const EQUALS_WOKEN = 500;

/** Parts of the statement that writes a change of jobs; they refer to its part `changed`. */

/** Jobs have become unknown: their accounts are looked at. Locked in one order, as replicas do this at the same time in an outage. */
export const WAKE_ACCOUNTS = Prisma.sql`woken_account as (
  update tensorpix_accounts a
     set reconcile_due_at = least(a.reconcile_due_at, ${DUE_NOW})
   where a.id = any(array(
     select l.id from tensorpix_accounts l
      where l.id = any(array(
        select c.account_id from changed c join input i on i.id = c.id where i.status = 'unconfirmed'))
      order by l.id for no key update)))`;

/** Jobs are known again: what waited for them may be sent. */
export function wakeEquals(jobs: JobRecord[]): Prisma.Sql {
  const rows = jobs.map(({ id, observableKey }) => ({ id, observable_key: observableKey }));
  return Prisma.sql`woken_equal as (
    update jobs set due_at = ${DUE_NOW}
     where id = any(array(
       select w.id
         from json_to_recordset(${JSON.stringify(rows)}::json) as k(id uuid, observable_key text)
         join changed c on c.id = k.id
         join jobs w on w.account_id = any(array[c.account_id])
                    and w.observable_key = any(array[decode(k.observable_key, 'hex')])
        where w.status = 'submitting' and w.status_reason = 'outcome_unknown' and w.due_at > now()
        limit ${EQUALS_WOKEN}::int
          for update of w skip locked)))`;
}
