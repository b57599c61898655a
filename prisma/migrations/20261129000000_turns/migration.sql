-- Sessions keep plans from times when nothing waited, and every small index looked as good as another. So no index may be
-- fit for a question about what waits but the one that is meant for it.

-- Of the jobs that wait for an equal one only those are read that are due: the rest was put off already. Images have no key.
DROP INDEX "jobs_submitting_idx";
CREATE INDEX "jobs_submitting_idx" ON "jobs" ("account_id", "observable_key", "due_at")
  WHERE "status" = 'submitting' AND "observable_key" IS NOT NULL;

-- Whether a tenant has jobs under way: the index of its list by state tells that too.
DROP INDEX IF EXISTS "jobs_under_way_idx";
