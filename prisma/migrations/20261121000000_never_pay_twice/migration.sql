-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "called_at" TIMESTAMPTZ(3),
ADD COLUMN     "clean_look_at" TIMESTAMPTZ(3),
ADD COLUMN     "clean_looks" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "doubted_since" TIMESTAMPTZ(3),
ADD COLUMN     "observable_key" BYTEA,
ADD COLUMN     "unknown_since" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "tensorpix_accounts" ADD COLUMN     "reconcile_due_at" TIMESTAMPTZ(3),
ADD COLUMN     "reconcile_failures" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "reconcile_lease_expires_at" TIMESTAMPTZ(3),
ADD COLUMN     "reconcile_lease_token" UUID;

-- AlterTable
ALTER TABLE "tenant_paces" ADD COLUMN     "hold_reason" TEXT,
ADD COLUMN     "hold_until" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "idempotency_keys" (
    "tenant_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "job_id" UUID NOT NULL,
    "locked_until" TIMESTAMPTZ(3),
    "answer_status" INTEGER,
    "answer_body" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("tenant_id","kind","key")
);

-- CreateTable
CREATE TABLE "upstream_sightings" (
    "account_id" UUID NOT NULL,
    "tensorpix_id" BIGINT NOT NULL,
    "first_seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "upstream_sightings_pkey" PRIMARY KEY ("account_id","tensorpix_id")
);

-- CreateIndex
CREATE INDEX "idempotency_keys_created_at_idx" ON "idempotency_keys"("created_at");

-- CreateIndex
CREATE UNIQUE INDEX "idempotency_keys_tenant_id_job_id_key" ON "idempotency_keys"("tenant_id", "job_id");

-- CreateIndex
CREATE INDEX "upstream_sightings_first_seen_at_idx" ON "upstream_sightings"("first_seen_at");

-- AddForeignKey
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_tenant_id_job_id_fkey" FOREIGN KEY ("tenant_id", "job_id") REFERENCES "jobs"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "upstream_sightings" ADD CONSTRAINT "upstream_sightings_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "tensorpix_accounts"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What follows cannot be said in schema.prisma.
ALTER TABLE "tensorpix_accounts"
  ADD CONSTRAINT "tensorpix_accounts_reconcile_lease_check" CHECK (
    ("reconcile_lease_token" IS NULL) = ("reconcile_lease_expires_at" IS NULL));

ALTER TABLE "idempotency_keys"
  ADD CONSTRAINT "idempotency_keys_kind_check" CHECK ("kind" IN ('video', 'image')),
  ADD CONSTRAINT "idempotency_keys_answer_check" CHECK (("answer_status" IS NULL) = ("answer_body" IS NULL));

-- The rows of an account whose outcome is unknown, by what TensorPix's list can show of them.
CREATE INDEX "jobs_unconfirmed_idx" ON "jobs" ("account_id", "observable_key") WHERE "status" = 'unconfirmed';
-- When equals of a row were found to be unknown, whatever has become of them since.
CREATE INDEX "jobs_unknown_since_idx" ON "jobs" ("account_id", "observable_key", "unknown_since") WHERE "unknown_since" IS NOT NULL;
-- Their equals that are being sent, or wait to be.
CREATE INDEX "jobs_submitting_idx" ON "jobs" ("account_id", "observable_key") WHERE "status" = 'submitting';
CREATE INDEX "jobs_account_at_tensorpix_idx" ON "jobs" ("account_id", "submitted_at") WHERE "status" IN ('queued', 'processing');
CREATE INDEX "tensorpix_accounts_reconcile_idx" ON "tensorpix_accounts" ("reconcile_due_at") WHERE "reconcile_due_at" IS NOT NULL;

-- Rows of unknown outcome from before have no key by which they could be looked for: a person decides.
UPDATE "jobs" SET "status_reason" = 'outcome_unknown' WHERE "status" = 'unconfirmed';

-- What waits to be sent, a range a tenant: the rows of one that rests are not read.
DROP INDEX "jobs_due_idx";
CREATE INDEX "jobs_due_idx" ON "jobs" ("tenant_id", "due_at") WHERE "status" = 'submitting' AND "due_at" IS NOT NULL;
