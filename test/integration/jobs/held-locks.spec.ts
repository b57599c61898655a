import { describe, expect, it } from '@jest/globals';
import type pg from 'pg';
import { JobChangesStore } from '../../../src/modules/jobs/job-changes.store.js';
import { JobsStore } from '../../../src/modules/jobs/jobs.store.js';
import { settle } from '../../../src/modules/jobs/submission-change.js';
import type { Decision } from '../../../src/modules/jobs/submission-outcome.js';
import { eventually } from '../../support/gateway.js';
import { whileHeld } from '../../support/locks.js';
import { idOf, sourceUrl, useStage } from '../../support/stage.js';

/** No loop runs: whatever waits for a lock here is the statement of a create. */
const stage = useStage({ env: { GATEWAY_ROLE: 'api', TENSORPIX_TIMEOUT_MS: '10000' } });

interface Blocked {
  pid: number;
  /** tells a statement from the one that the same session had before */
  since: string;
}

/** The sessions of the gateway whose statements wait for a lock. */
async function blocked(): Promise<Blocked[]> {
  return stage.sql<Blocked & pg.QueryResultRow>(
    `select pid, query_start::text as since from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`,
  );
}

/** Waits for a statement that waits for a lock, and is none of these. */
async function untilBlocked(but: Blocked[] = []): Promise<Blocked[]> {
  const known = new Set(but.map(({ since }) => since));
  return eventually(blocked, (waiting) => waiting.some(({ since }) => !known.has(since)));
}

describe("TensorPix's answer to a create", () => {
  it("should be bound and given while another session holds the pace of its tenant, and the neighbours' too", async () => {
    const [team, neighbour] = [await stage.team(), await stage.team()];
    const fields = { ...stage.callback, video_url: sourceUrl() };
    const key = { 'idempotency-key': 'held' };
    await whileHeld(stage.pool, 'select 1 from tenant_paces where tenant_id = $1 for update', [team.id], async () => {
      const answers = await Promise.all([stage.video(team, fields, key), stage.video(neighbour)]);
      expect(answers.map(({ status }) => status)).toEqual([201, 201]);
      for (const answer of answers) {
        expect(await stage.row(idOf(answer))).toMatchObject({
          status: 'queued',
          tensorpix_id: String(answer.body.tensorpix_id),
          lease_token: null,
        });
      }
    });
    // The key was settled with the row.
    expect((await stage.video(team, fields, key)).status).toBe(201);
    expect([stage.creates(team), stage.creates(neighbour)]).toEqual([1, 1]);
  });

  it('should outlive a statement that was given up because of a lock', async () => {
    const team = await stage.team();
    await whileHeld(stage.pool, 'lock table webhook_deliveries in exclusive mode', [], async (session) => {
      const creating = stage.video(team, stage.callback).then((answer) => answer);
      const first = await untilBlocked();
      expect(stage.creates(team)).toBe(1);
      await stage.sql('select pg_cancel_backend(pid) from unnest($1::int[]) as pid', [first.map(({ pid }) => pid)]);
      // The same statement again, after a pause.
      await untilBlocked(first);
      await session.query('commit');
      const created = await creating;
      expect(created.status).toBe(201);
      expect(await stage.row(idOf(created))).toMatchObject({ status: 'queued', attempt: 1, lease_token: null });
      expect(await stage.eventTypes(idOf(created))).toEqual(['job.submitting', 'job.queued']);
      expect((await stage.deliveries(idOf(created))).map(({ event_type }) => event_type)).toEqual(['job.queued']);
    });
    expect(stage.creates(team)).toBe(1);
  });
});

describe('A create that waits for a change of its tenant', () => {
  it('should leave nothing behind when the tenant is suspended meanwhile', async () => {
    const team = await stage.team();
    await whileHeld(stage.pool, 'select 1 from tenants where id = $1 for update', [team.id], async (session) => {
      const creating = stage.video(team).then((answer) => answer);
      await untilBlocked();
      await session.query(`update tenants set status = 'suspended' where id = $1`, [team.id]);
      await session.query('commit');
      expect((await creating).status).toBe(403);
    });
    expect(stage.creates(team)).toBe(0);
    expect(await stage.sql('select id from jobs where tenant_id = $1', [team.id])).toEqual([]);
  });

  it('should keep no other tenant waiting, and be told to come again when that takes too long', async () => {
    const [team, neighbour] = [await stage.team(), await stage.team()];
    await whileHeld(stage.pool, 'select 1 from tenants where id = $1 for update', [team.id], async () => {
      let answered = 0;
      const creating = [stage.video(team), stage.video(team)].map(async (create) => {
        const answer = await create;
        answered += 1;
        return answer;
      });
      await untilBlocked();
      expect((await stage.video(neighbour)).status).toBe(201);
      expect(answered).toBe(0);
      for (const { status, body, headers } of await Promise.all(creating))
        expect([status, body.code, headers['retry-after']]).toEqual([503, 'unavailable', '5']);
    });
    expect(await stage.rowsOf(team)).toEqual([]);
    expect((await stage.video(team)).status).toBe(201);
  });

  it('should be sent when the tenant stays what it was', async () => {
    const team = await stage.team();
    await whileHeld(stage.pool, 'select 1 from tenants where id = $1 for update', [team.id], async (session) => {
      const creating = stage.video(team).then((answer) => answer);
      await untilBlocked();
      await session.query(`update tenants set name = 'renamed' where id = $1`, [team.id]);
      await session.query('commit');
      expect((await creating).status).toBe(201);
    });
    expect(stage.creates(team)).toBe(1);
  });
});

describe('jobs of many accounts that become unknown in one statement', () => {
  const UNKNOWN: Decision = {
    kind: 'unconfirm',
    statusReason: 'upstream_unavailable',
    cause: 'no_answer',
    timedOut: true,
  };

  it('should lock the accounts in one order, so that replicas do not wait for each other in a circle', async () => {
    const jobs = stage.gateway.app.get(JobsStore, { strict: false });
    const changes = stage.gateway.app.get(JobChangesStore, { strict: false });
    const found = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const team = await stage.team();
        return jobs.findRecord(team.id, idOf(await stage.video(team, {}, { prefer: 'respond-async' })));
      }),
    );
    const due = found.map((row) => settle(row!.job, UNKNOWN, row!.time.now(), false));
    const [first, ...others] = due.map(({ after }) => after.accountId).sort();
    await whileHeld(
      stage.pool,
      'select 1 from tensorpix_accounts where id = $1 for update',
      [first],
      async (session) => {
        const applied = Promise.all(due.map((change) => changes.apply(change)));
        await untilBlocked();
        const free = 'select id from tensorpix_accounts where id = any($1::uuid[]) for update nowait';
        expect(await stage.sql(free, [others])).toHaveLength(others.length);
        await session.query('commit');
        expect(await applied).toEqual(due.map(() => true));
      },
    );
    const woken = 'select id from tensorpix_accounts where id = any($1::uuid[]) and reconcile_due_at is not null';
    expect(await stage.sql(woken, [[first, ...others]])).toHaveLength(due.length);
  });
});
