-- Partitions that a worker holds and does not read on: the log is another one, or says what can't be read. Whoever holds
-- the partition writes the row and removes it; to go on, the position is set, not this table.
CREATE TABLE stopped_partition (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    reason text NOT NULL,
    position bigint,                 -- NULL where nobody could tell where the log begins
    log_start bigint,
    log_end bigint,
    detail text NOT NULL,            -- what is the matter and what to do; never a payload
    stopped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer_group, topic, partition)  -- one reason at a time
);

-- Ranges that the position moved over without anything being applied: lost to retention, or passed over by an operator.
-- Never rewritten: it is the only trace of records that had no effect.
CREATE TABLE passed_over (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL CHECK (to_offset > from_offset),  -- the first one behind the range
    reason text NOT NULL CHECK (reason IN ('retention', 'by_hand')),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX passed_over_place ON passed_over (consumer_group, topic, partition);
