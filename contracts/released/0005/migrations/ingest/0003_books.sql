-- Which offsets of a landing log were dealt with, and for which of them the log had no record (a transaction's marker, or
-- what it took back). Read again, after a crash, a retry, or with a position set back by hand, they count no second time;
-- and what is missing is missing by its offset, whatever was counted twice elsewhere. As ranges: a healthy log has one.
CREATE TABLE landing_book (
    topic     text           NOT NULL,
    partition int            NOT NULL,
    log       bigint         NOT NULL,  -- which log of that name: when the first record read of it was appended, in ms
    began     bigint         NOT NULL,  -- what lies before was counted before there was a book
    newest_ms bigint         NOT NULL,  -- append time of the newest record: who is younger and stands where it stood is
                                        -- of a log that was made anew
    dealt     int8multirange NOT NULL,
    void      int8multirange NOT NULL,
    PRIMARY KEY (topic, partition, log)
);
INSERT INTO landing_book (topic, partition, log, began, newest_ms, dealt, void)
SELECT topic, partition, 0, next_offset, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, '{}', '{}'
FROM position WHERE consumer_group = 'leap-ingest';

-- What was counted before there were books is held against nothing any more.
ALTER TABLE landed_count ADD COLUMN before_books bigint NOT NULL DEFAULT 0;
UPDATE landed_count SET before_books = records;
