-- What the dispatcher walks along while more is due than it has places for: origins and their tenants, so that the queues of
-- one that takes nothing now are not read, and nobody else's wait for them.
CREATE INDEX "webhook_queues_receiver_idx" ON "webhook_queues" ("origin", "tenant_id", "due_at") WHERE "due_at" IS NOT NULL;
DROP INDEX "webhook_queues_due_idx";
