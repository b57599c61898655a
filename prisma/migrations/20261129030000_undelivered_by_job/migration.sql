-- Jobs with a callback that has not got through, newest first: a page reads its own rows, however long the outage was. The one
-- statement of its migration, so that it runs in no transaction and webhooks are written meanwhile.
CREATE INDEX CONCURRENTLY "webhook_deliveries_undelivered_callbacks_idx" ON "webhook_deliveries" ("tenant_id", "job_id" DESC)
  WHERE "status" IN ('pending', 'failing', 'exhausted') AND "endpoint_id" IS NULL AND "job_id" IS NOT NULL;
