-- Sessions keep plans from times when nothing waited, and every small index looked as good as another. So no index may be
-- fit for a question about what waits but the one that is meant for it. What is built comes first: while an index is built
-- jobs can be read, and dropping one takes no time.

-- Of the jobs that wait for an equal one only those are read that are due: the rest was put off already. Images have no key.
CREATE INDEX "jobs_submitting_equal_idx" ON "jobs" ("account_id", "observable_key", "due_at")
  WHERE "status" = 'submitting' AND "observable_key" IS NOT NULL;

-- Whether a job of a tenant is being sent: asked at the end of each look.
CREATE INDEX "jobs_sending_idx" ON "jobs" ("tenant_id", "lease_token")
  WHERE "status" = 'submitting' AND "lease_token" IS NOT NULL;

-- Partial, which schema.prisma cannot say: a job that TensorPix has not given an id yet needs no entry.
CREATE UNIQUE INDEX "jobs_account_tensorpix_key" ON "jobs" ("account_id", "tensorpix_id") WHERE "tensorpix_id" IS NOT NULL;

-- Webhooks that are due, oldest first: what waits for a retry at other receivers is not read.
CREATE INDEX "webhook_queues_oldest_idx" ON "webhook_queues" ("due_at") WHERE "due_at" IS NOT NULL;

DROP INDEX "jobs_submitting_idx";
DROP INDEX "jobs_account_id_tensorpix_id_key";
-- Whether a tenant has jobs under way: the index of its list by state tells that too.
DROP INDEX "jobs_under_way_idx";
