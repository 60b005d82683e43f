-- A topic that was made anew has other records at the same offsets: what is set aside of them is told apart by when it
-- was appended. NULL: set aside before that was kept.
ALTER TABLE dead_letter ADD COLUMN record_timestamp_ms bigint;
-- The few records that were set aside: made at once, and nobody waits long.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX dead_letter_record
    ON dead_letter (topic, partition, record_offset, record_timestamp_ms) NULLS NOT DISTINCT;
-- What a process of the release before writes has no time, and is one for each offset as before.
-- squawk-ignore ban-drop-constraint
ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_pkey;
