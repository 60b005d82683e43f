-- A topic's name and an offset do not name a log: it may be made anew, or lose its end, and then other records stand at
-- the same offsets. What was applied last tells one log from another: where it stood, when it was appended, what it said.
-- NULL: nothing was applied since the position was set, by us or by hand.
ALTER TABLE position
    ADD COLUMN last_offset bigint,
    ADD COLUMN last_timestamp_ms bigint,
    ADD COLUMN last_checksum bigint,
    -- Offsets below the position at which no record stands: ends of transactions, what was rolled back, compaction.
    ADD COLUMN empty_offsets bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT position_last_whole CHECK (num_nulls(last_offset, last_timestamp_ms, last_checksum) IN (0, 3));
