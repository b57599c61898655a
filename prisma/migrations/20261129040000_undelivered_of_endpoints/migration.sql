-- What an endpoint did not take, by state: neither the rest of its history nor what other endpoints did not take is read for a page.
CREATE INDEX CONCURRENTLY "webhook_deliveries_undelivered_of_endpoint_idx"
  ON "webhook_deliveries" ("endpoint_id", "status", "created_at" DESC, "id" DESC)
  WHERE "status" IN ('pending', 'failing', 'exhausted', 'superseded') AND "endpoint_id" IS NOT NULL;
