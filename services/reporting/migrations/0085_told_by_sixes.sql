-- Counts of releases made from here on are told by sixes; those before stay as they were published.
ALTER TABLE release ADD COLUMN by_sixes boolean NOT NULL DEFAULT false;
