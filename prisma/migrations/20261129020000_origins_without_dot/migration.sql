-- `https://a.example.` is the receiver `https://a.example`, whose connections it shares: both have one origin now.
UPDATE "webhook_endpoints" SET "origin" = regexp_replace("origin", '\.(:[0-9]+)?$', '\1') WHERE "origin" ~ '\.(:[0-9]+)?$';
UPDATE "webhook_queues" SET "origin" = regexp_replace("origin", '\.(:[0-9]+)?$', '\1') WHERE "origin" ~ '\.(:[0-9]+)?$';
