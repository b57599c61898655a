-- Jobs that wait to be sent and cost nothing: an account without credits does not hold them, and what it holds is not read to find
-- them. The one statement of its migration, so that it runs in no transaction and jobs are written meanwhile.
CREATE INDEX CONCURRENTLY "jobs_due_free_idx" ON "jobs" ("tenant_id", "due_at")
  WHERE "status" = 'submitting' AND "due_at" IS NOT NULL
    AND ("preview" OR ("kind" = 'image' AND "input" @> '{"watermark": true}'));
