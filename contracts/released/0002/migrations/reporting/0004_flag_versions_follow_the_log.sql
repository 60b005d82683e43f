-- A flag's versions follow the log's time in microseconds, which an integer can't hold.
ALTER TABLE flag ALTER COLUMN version TYPE bigint;
