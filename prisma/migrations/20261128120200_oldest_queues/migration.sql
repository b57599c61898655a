-- Webhooks that are due, oldest first. With a condition that only their own question states: while nothing waits, the walk
-- along the receivers was planned as a sort of this index, and read all of it for each receiver.
CREATE INDEX "webhook_queues_due_first_idx" ON "webhook_queues" ("due_at") WHERE "due_at" > '-infinity';
DROP INDEX "webhook_queues_oldest_idx";
