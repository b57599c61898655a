-- An outcome must know whether its endpoint is another receiver by now, or was enabled anew, while the attempt was under way.
ALTER TABLE "webhook_endpoints" ADD COLUMN "revision" INTEGER NOT NULL DEFAULT 0;
-- An attempt that is made before its time, because the endpoint was changed, uses up no step of the schedule.
ALTER TABLE "webhook_queues" ADD COLUMN "hurried" BOOLEAN NOT NULL DEFAULT false;
-- What is sent again by a replay takes turns with everything else that is due for the same receiver: a replay to a receiver that
-- hangs must not stand before the webhooks of today.
ALTER TABLE "webhook_queues" ADD COLUMN "replayed" BOOLEAN NOT NULL DEFAULT false;
DROP INDEX "webhook_queues_receiver_idx";
CREATE INDEX "webhook_queues_receiver_idx" ON "webhook_queues" ("origin", "tenant_id", "replayed", "due_at") WHERE "due_at" IS NOT NULL;
