-- Every webhook is pending before it is delivered, and every job is under way before it ends: the partial indexes of what is not done
-- keep an entry for each until a VACUUM, and the first page that reads them (`?callback=undelivered`, a look) goes through all of it.
-- By default that VACUUM comes when a fifth of the table is dead, of ten million rows two million: 3.2 s a page were measured after
-- 800,000. A hundredth is a VACUUM for each 105,000 changes then, which leaves the indexes to a later one only while less than 2 % of the
-- pages are concerned; the threshold keeps small tables from being vacuumed all the time.
-- No earlier migration sets these. They take a lock that no statement of the gateway waits for.
ALTER TABLE "webhook_deliveries" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
ALTER TABLE "jobs" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000);
-- Each row is inserted, claimed and deleted, and claims read what is due from its oldest end, where the dead ones are. Few rows are
-- there for long, unless a receiver is down: then a fifth of these would be dead before it is vacuumed.
ALTER TABLE "webhook_queues" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
