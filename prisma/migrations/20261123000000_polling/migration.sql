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
