-- What looks learn of a tenant's list, how fast its token may be used, and who waits for its jobs.
ALTER TABLE "tenant_paces" DROP COLUMN "rest_reason",
ADD COLUMN     "calls_per_second" DOUBLE PRECISION NOT NULL DEFAULT 10,
ADD COLUMN     "hurried_until" TIMESTAMPTZ(3),
ADD COLUMN     "list_from" INTEGER,
ADD COLUMN     "list_learned_at" TIMESTAMPTZ(3),
ADD COLUMN     "list_page_size" INTEGER,
ADD COLUMN     "list_pages" INTEGER;

-- A look writes the progress of many rows and nothing that is indexed: room for such rows beside the old ones.
ALTER TABLE "jobs" SET (fillfactor = 85);

-- What replicas tell each other of TensorPix's host.
CREATE TABLE "upstream_hosts" (
    "host" TEXT NOT NULL,
    "open_until" TIMESTAMPTZ(3),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "upstream_hosts_pkey" PRIMARY KEY ("host")
);

-- What retention looks for: oldest first.
CREATE INDEX "jobs_ended_idx" ON "jobs" ("finished_at", "id") WHERE "finished_at" IS NOT NULL;
CREATE INDEX "webhook_deliveries_without_job_idx" ON "webhook_deliveries" ("created_at") WHERE "job_id" IS NULL;
