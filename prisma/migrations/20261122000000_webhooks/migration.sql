-- Where a webhook stands moves from its own row to that of its queue. No version before this one has been released:
-- it cannot run beside this one.

-- DropIndex
DROP INDEX "webhook_deliveries_job_id_sequence_key";

-- DropIndex
DROP INDEX "webhook_secrets_tenant_id_idx";

-- AlterTable
ALTER TABLE "webhook_secrets" ADD COLUMN     "endpoint_id" UUID;

-- AlterTable
ALTER TABLE "webhook_deliveries" ADD COLUMN     "endpoint_id" UUID,
ADD COLUMN     "queue_id" UUID,
ALTER COLUMN "job_id" DROP NOT NULL;

-- CreateTable
CREATE TABLE "webhook_endpoints" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "origin" TEXT NOT NULL,
    "description" TEXT NOT NULL DEFAULT '',
    "events" TEXT[],
    "headers_ciphertext" TEXT,
    "status" TEXT NOT NULL DEFAULT 'enabled',
    "status_reason" TEXT,
    "failing_since" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_endpoints_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_queues" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "endpoint_id" UUID,
    "delivery_id" UUID,
    "origin" TEXT COLLATE "C" NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ(3),
    "lease_token" UUID,

    CONSTRAINT "webhook_queues_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_attempts" (
    "id" BIGSERIAL NOT NULL,
    "delivery_id" UUID NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "manual" BOOLEAN NOT NULL,
    "url" TEXT NOT NULL,
    "request_headers" JSONB NOT NULL,
    "response_status" INTEGER,
    "error_class" TEXT,
    "error" TEXT,
    "dns_ms" REAL,
    "connect_ms" REAL,
    "tls_ms" REAL,
    "first_byte_ms" REAL,
    "total_ms" REAL NOT NULL,
    "response_excerpt" TEXT,

    CONSTRAINT "webhook_attempts_pkey" PRIMARY KEY ("id")
);

-- What waits to be sent gets its queue; what was claimed is claimed anew.
UPDATE "webhook_deliveries" SET "queue_id" = "job_id";
INSERT INTO "webhook_queues" ("id", "tenant_id", "origin", "due_at", "failures")
SELECT DISTINCT ON ("queue_id") "queue_id", "tenant_id", "origin", "due_at", "attempts"
  FROM "webhook_deliveries"
 WHERE "status" IN ('pending', 'failing')
 ORDER BY "queue_id", "sequence";

-- AlterTable
ALTER TABLE "webhook_deliveries" DROP COLUMN "due_at",
DROP COLUMN "lease_expires_at",
DROP COLUMN "lease_token",
DROP COLUMN "origin",
ALTER COLUMN "queue_id" SET NOT NULL;

-- CreateIndex
CREATE INDEX "webhook_endpoints_tenant_id_created_at_id_idx" ON "webhook_endpoints"("tenant_id", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "webhook_endpoints_tenant_id_id_key" ON "webhook_endpoints"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "webhook_attempts_delivery_id_id_idx" ON "webhook_attempts"("delivery_id", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_job_id_sequence_idx" ON "webhook_deliveries"("job_id", "sequence");

-- CreateIndex
CREATE INDEX "webhook_deliveries_tenant_id_created_at_id_idx" ON "webhook_deliveries"("tenant_id", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE INDEX "webhook_secrets_tenant_id_endpoint_id_idx" ON "webhook_secrets"("tenant_id", "endpoint_id");

-- AddForeignKey
ALTER TABLE "webhook_secrets" ADD CONSTRAINT "webhook_secrets_tenant_id_endpoint_id_fkey" FOREIGN KEY ("tenant_id", "endpoint_id") REFERENCES "webhook_endpoints"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_tenant_id_endpoint_id_fkey" FOREIGN KEY ("tenant_id", "endpoint_id") REFERENCES "webhook_endpoints"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_attempts" ADD CONSTRAINT "webhook_attempts_delivery_id_fkey" FOREIGN KEY ("delivery_id") REFERENCES "webhook_deliveries"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What follows cannot be said in schema.prisma.
ALTER TABLE "webhook_endpoints"
  ADD CONSTRAINT "webhook_endpoints_status_check" CHECK ("status" IN ('enabled', 'paused', 'disabled'));

-- One current signing secret for the callback_urls of a tenant, and one an endpoint.
DROP INDEX "webhook_secrets_current_key";
CREATE UNIQUE INDEX "webhook_secrets_current_key" ON "webhook_secrets" ("tenant_id")
  WHERE "expires_at" IS NULL AND "endpoint_id" IS NULL;
CREATE UNIQUE INDEX "webhook_secrets_endpoint_current_key" ON "webhook_secrets" ("endpoint_id")
  WHERE "expires_at" IS NULL AND "endpoint_id" IS NOT NULL;

-- Who gets an event.
CREATE INDEX "webhook_endpoints_standing_idx" ON "webhook_endpoints" ("tenant_id") WHERE "deleted_at" IS NULL;

-- What the dispatcher looks for: by origin, so that the queues of a receiver that takes nothing now are not read.
CREATE INDEX "webhook_queues_due_idx" ON "webhook_queues" ("origin", "due_at") WHERE "due_at" IS NOT NULL;
-- Manual retries that wait.
CREATE INDEX "webhook_queues_manual_idx" ON "webhook_queues" ("tenant_id", "due_at") WHERE "delivery_id" IS NOT NULL;
-- What is kept for an endpoint until it takes webhooks again.
CREATE INDEX "webhook_queues_held_idx" ON "webhook_queues" ("endpoint_id") WHERE "due_at" IS NULL;

-- The open webhooks of a queue, and those of a tenant that have not got through.
CREATE INDEX "webhook_deliveries_open_idx" ON "webhook_deliveries" ("queue_id", "sequence") WHERE "status" IN ('pending', 'failing');
DROP INDEX "webhook_deliveries_undelivered_idx";
CREATE INDEX "webhook_deliveries_undelivered_idx" ON "webhook_deliveries" ("tenant_id", "status", "created_at" DESC, "id" DESC)
  WHERE "status" IN ('pending', 'failing', 'exhausted', 'superseded');
CREATE INDEX "webhook_deliveries_endpoint_idx" ON "webhook_deliveries" ("endpoint_id", "created_at" DESC, "id" DESC)
  WHERE "endpoint_id" IS NOT NULL;
