-- How far a topic had been read when another log came to bear its name: what the former one told stands in these tables
-- alone. Never rewritten: whoever makes tables anew from the topics would lose it in silence.
CREATE TABLE former_log (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX former_log_topic ON former_log (topic);
