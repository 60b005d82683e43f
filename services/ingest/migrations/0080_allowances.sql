-- How much of this hour's allowance a district's uploads have used: bytes, rows, and rows that can't become facts. One
-- row per district, begun anew with each hour, so that several processes count together and the table stays small.
CREATE TABLE upload_hour (
    district text        PRIMARY KEY,
    hour     timestamptz NOT NULL,
    bytes    bigint      NOT NULL CHECK (bytes >= 0),
    rows     bigint      NOT NULL CHECK (rows >= 0),
    refused  bigint      NOT NULL CHECK (refused >= 0)
);

-- The line of an upload from which on nothing was taken, since too many rows before it could not be used.
ALTER TABLE receipt ADD COLUMN not_taken_from integer CHECK (not_taken_from > 1);
