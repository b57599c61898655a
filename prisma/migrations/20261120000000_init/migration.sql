-- CreateTable
CREATE TABLE "tensorpix_accounts" (
    "id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tensorpix_accounts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "token_fingerprints" (
    "fingerprint" BYTEA NOT NULL,
    "account_id" UUID NOT NULL,

    CONSTRAINT "token_fingerprints_pkey" PRIMARY KEY ("fingerprint")
);

-- CreateTable
CREATE TABLE "tenants" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'active',
    "account_id" UUID NOT NULL,
    "token_ciphertext" TEXT,
    "token_last4" TEXT NOT NULL,
    "token_status" TEXT NOT NULL DEFAULT 'unknown',
    "max_active_jobs" INTEGER,
    "requests_per_minute" INTEGER,
    "monthly_credits" DECIMAL(14,4),
    "callback_allowed_hosts" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "tenants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "key_hash" BYTEA NOT NULL,
    "scopes" TEXT[],
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_secrets" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "ciphertext" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_secrets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "tenant_paces" (
    "tenant_id" UUID NOT NULL,
    "poll_due_at" TIMESTAMPTZ(3),
    "poll_lease_token" UUID,
    "poll_lease_expires_at" TIMESTAMPTZ(3),
    "poll_failures" INTEGER NOT NULL DEFAULT 0,
    "rest_until" TIMESTAMPTZ(3),
    "rest_reason" TEXT,

    CONSTRAINT "tenant_paces_pkey" PRIMARY KEY ("tenant_id")
);

-- CreateTable
CREATE TABLE "jobs" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "api_key_id" UUID,
    "kind" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "status_reason" TEXT,
    "tensorpix_id" BIGINT,
    "preview" BOOLEAN NOT NULL DEFAULT false,
    "progress" DOUBLE PRECISION,
    "eta_seconds" DOUBLE PRECISION,
    "cost_credits" DECIMAL(14,4),
    "input" JSONB NOT NULL,
    "output" JSONB,
    "error" JSONB,
    "warnings" JSONB NOT NULL DEFAULT '[]',
    "external_id" TEXT,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "callback_url" TEXT,
    "callback_events" TEXT[],
    "sequence" INTEGER NOT NULL DEFAULT 1,
    "reported_progress" DOUBLE PRECISION NOT NULL DEFAULT 0,
    "parks" BOOLEAN NOT NULL DEFAULT false,
    "strict" BOOLEAN NOT NULL DEFAULT false,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ(3),
    "lease_token" UUID,
    "lease_expires_at" TIMESTAMPTZ(3),
    "source_expires_at" TIMESTAMPTZ(3),
    "cancel_requested_at" TIMESTAMPTZ(3),
    "result_awaited_since" TIMESTAMPTZ(3),
    "missing_since" TIMESTAMPTZ(3),
    "missing_looks" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "submitted_at" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_events" (
    "job_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "tenant_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "data" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "job_events_pkey" PRIMARY KEY ("job_id","sequence")
);

-- CreateTable
CREATE TABLE "webhook_deliveries" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "job_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "event_type" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "origin" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lease_token" UUID,
    "lease_expires_at" TIMESTAMPTZ(3),
    "last_error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "encryption_canaries" (
    "key_id" TEXT NOT NULL,
    "ciphertext" TEXT NOT NULL,

    CONSTRAINT "encryption_canaries_pkey" PRIMARY KEY ("key_id")
);

-- CreateIndex
CREATE INDEX "token_fingerprints_account_id_idx" ON "token_fingerprints"("account_id");

-- CreateIndex
CREATE INDEX "tenants_account_id_idx" ON "tenants"("account_id");

-- CreateIndex
CREATE INDEX "tenants_created_at_id_idx" ON "tenants"("created_at" DESC, "id" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_key_hash_key" ON "api_keys"("key_hash");

-- CreateIndex
CREATE INDEX "api_keys_tenant_id_created_at_id_idx" ON "api_keys"("tenant_id", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE INDEX "webhook_secrets_tenant_id_idx" ON "webhook_secrets"("tenant_id");

-- CreateIndex
CREATE INDEX "jobs_tenant_id_kind_created_at_id_idx" ON "jobs"("tenant_id", "kind", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE INDEX "jobs_tenant_id_kind_status_created_at_id_idx" ON "jobs"("tenant_id", "kind", "status", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "jobs_tenant_id_id_key" ON "jobs"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "jobs_account_id_tensorpix_id_key" ON "jobs"("account_id", "tensorpix_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_deliveries_job_id_sequence_key" ON "webhook_deliveries"("job_id", "sequence");

-- AddForeignKey
ALTER TABLE "token_fingerprints" ADD CONSTRAINT "token_fingerprints_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "tensorpix_accounts"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenants" ADD CONSTRAINT "tenants_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "tensorpix_accounts"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_secrets" ADD CONSTRAINT "webhook_secrets_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_paces" ADD CONSTRAINT "tenant_paces_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "tensorpix_accounts"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_tenant_id_job_id_fkey" FOREIGN KEY ("tenant_id", "job_id") REFERENCES "jobs"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_tenant_id_job_id_fkey" FOREIGN KEY ("tenant_id", "job_id") REFERENCES "jobs"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;


-- What follows cannot be said in schema.prisma.

-- States are text with a check: a new state is a cheap migration.
ALTER TABLE "tenants"
  ADD CONSTRAINT "tenants_status_check" CHECK ("status" IN ('active', 'suspended')),
  ADD CONSTRAINT "tenants_token_status_check" CHECK ("token_status" IN ('unknown', 'valid', 'rejected'));

ALTER TABLE "jobs"
  ADD CONSTRAINT "jobs_kind_check" CHECK ("kind" IN ('video', 'image')),
  ADD CONSTRAINT "jobs_status_check" CHECK (
    "status" IN ('submitting', 'unconfirmed', 'queued', 'processing', 'finished', 'failed', 'canceled')),
  -- A row that TensorPix has not heard of either waits for its time or has a call under way, never both, never neither.
  ADD CONSTRAINT "jobs_submitting_check" CHECK (("status" = 'submitting') = (("due_at" IS NULL) <> ("lease_token" IS NULL))),
  ADD CONSTRAINT "jobs_lease_check" CHECK (("lease_token" IS NULL) = ("lease_expires_at" IS NULL)),
  ADD CONSTRAINT "jobs_ended_check" CHECK (("finished_at" IS NOT NULL) = ("status" IN ('finished', 'failed', 'canceled')));

ALTER TABLE "webhook_deliveries"
  ADD CONSTRAINT "webhook_deliveries_status_check" CHECK (
    "status" IN ('pending', 'delivered', 'failing', 'exhausted', 'superseded')),
  ADD CONSTRAINT "webhook_deliveries_lease_check" CHECK (("lease_token" IS NULL) = ("lease_expires_at" IS NULL));

-- One current signing secret a tenant.
CREATE UNIQUE INDEX "webhook_secrets_current_key" ON "webhook_secrets" ("tenant_id") WHERE "expires_at" IS NULL;

-- What the loops look for: as large as what is due, whatever the history is.
CREATE INDEX "jobs_due_idx" ON "jobs" ("due_at") WHERE "status" = 'submitting' AND "due_at" IS NOT NULL;
CREATE INDEX "jobs_leased_idx" ON "jobs" ("lease_expires_at") WHERE "status" = 'submitting' AND "lease_expires_at" IS NOT NULL;
CREATE INDEX "jobs_at_tensorpix_idx" ON "jobs" ("tenant_id", "tensorpix_id") WHERE "status" IN ('queued', 'processing');
CREATE INDEX "jobs_under_way_idx" ON "jobs" ("tenant_id")
  WHERE "status" IN ('submitting', 'unconfirmed', 'queued', 'processing');
CREATE INDEX "tenant_paces_due_idx" ON "tenant_paces" ("poll_due_at") WHERE "poll_due_at" IS NOT NULL;
CREATE INDEX "webhook_deliveries_due_idx" ON "webhook_deliveries" ("due_at") WHERE "status" IN ('pending', 'failing');
CREATE INDEX "webhook_deliveries_undelivered_idx" ON "webhook_deliveries" ("tenant_id", "job_id")
  WHERE "status" IN ('pending', 'failing', 'exhausted');

-- Filter of the lists.
CREATE INDEX "jobs_external_id_idx" ON "jobs" ("tenant_id", "kind", "external_id", "created_at" DESC, "id" DESC)
  WHERE "external_id" IS NOT NULL;
