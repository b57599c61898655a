-- When the head of a queue is due once its job has ended: sooner, for a receiver that is there and refuses it.
ALTER TABLE "webhook_queues" ADD COLUMN "due_at_end" TIMESTAMPTZ(3);
