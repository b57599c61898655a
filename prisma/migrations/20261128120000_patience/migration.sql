-- When the head of a queue is due once its job has ended: sooner, for a receiver that is there and refuses it.
ALTER TABLE "webhook_queues" ADD COLUMN "due_at_end" TIMESTAMPTZ(3);

-- An endpoint that failed once and got nothing for days has not failed for days.
ALTER TABLE "webhook_endpoints" ADD COLUMN "failed_at" TIMESTAMPTZ(3);
