import { Prisma } from '../../../generated/prisma/client.js';
import { EQUAL_RECHECK_MS } from './unknown-equal.sql.js';

const PUT_OFF_A_STATEMENT = 1_000;

/**
 * Parts of the statement that claims jobs; they refer to its part `due`. Rows whose equal is of unknown outcome are put off,
 * and with them others that are equal and due. Those that were put off already are not read.
 */
export const PUT_OFF = Prisma.sql`
  waiting_key as (
    select distinct d.account_id, d.observable_key from due d where d.waits
  ), waiting_equal as (
    select d.id, d.newly from due d where d.waits
     union
    select e.id, e.newly
      from (select x.id, x.newly
              from waiting_key k
             cross join lateral (
               select x.id, x.status_reason is distinct from 'outcome_unknown' as newly
                 from jobs x
                where x.account_id = k.account_id and x.observable_key = k.observable_key
                  and x.status = 'submitting' and x.due_at <= now()
                order by x.due_at
                limit ${PUT_OFF_A_STATEMENT}::int
                  for update of x skip locked) x
             limit ${PUT_OFF_A_STATEMENT}::int) e
  ), put_off as (
    update jobs
       set due_at = now() + ${EQUAL_RECHECK_MS}::float8 * interval '1 millisecond', status_reason = 'outcome_unknown',
           sequence = sequence + w.newly::int, updated_at = now()
      from waiting_equal w where jobs.id = any(array[w.id])
    returning jobs.id, jobs.tenant_id, jobs.sequence, jobs.due_at, w.newly
  ), put_off_event as (
    insert into job_events (job_id, sequence, tenant_id, type, data)
    select w.id, w.sequence, w.tenant_id, 'job.parked', jsonb_build_object('reason', 'outcome_unknown', 'due_at', w.due_at)
      from put_off w where w.newly
  )`;
