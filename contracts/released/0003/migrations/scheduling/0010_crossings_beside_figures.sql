-- Flags come on two topics, each in its own order: a crossing may come behind figures that are newer than it is. It is
-- compared with the crossing before it, its figures with the newest figures (`version`).
ALTER TABLE flagged_student ADD COLUMN crossed_version bigint NOT NULL DEFAULT 0;
UPDATE flagged_student SET crossed_version = version;
