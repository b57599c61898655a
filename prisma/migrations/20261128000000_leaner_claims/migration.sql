-- Sessions keep plans from times when nothing waited, and every small index looked as good as another. So no index may be
-- fit for a question about what waits but the one that is meant for it.

-- Of the jobs that wait for an equal one only those are read that are due: the rest was put off already. Images have no key.
DROP INDEX "jobs_submitting_idx";
CREATE INDEX "jobs_submitting_idx" ON "jobs" ("account_id", "observable_key", "due_at")
  WHERE "status" = 'submitting' AND "observable_key" IS NOT NULL;

-- Whether a tenant has jobs under way: the index of its list by state tells that too.
DROP INDEX "jobs_under_way_idx";

-- Partial, which schema.prisma cannot say: a job that TensorPix has not given an id yet needs no entry.
CREATE UNIQUE INDEX "jobs_account_tensorpix_key" ON "jobs" ("account_id", "tensorpix_id") WHERE "tensorpix_id" IS NOT NULL;
DROP INDEX "jobs_account_id_tensorpix_id_key";

-- Webhooks that are due, oldest first: what waits for a retry at other receivers is not read.
CREATE INDEX "webhook_queues_oldest_idx" ON "webhook_queues" ("due_at") WHERE "due_at" IS NOT NULL;
