-- One table a migration: statements that hold one of the two and want the other would wait for each other in a circle.
-- An endpoint that failed once and got nothing for days has not failed for days.
ALTER TABLE "webhook_endpoints" ADD COLUMN "failed_at" TIMESTAMPTZ(3);
UPDATE "webhook_endpoints" SET "failed_at" = now() WHERE "failing_since" IS NOT NULL;
