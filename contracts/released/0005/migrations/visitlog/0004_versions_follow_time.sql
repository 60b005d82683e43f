-- Versions of requests and visitors follow the time of the command in microseconds, which an integer can't hold.
ALTER TABLE visit ALTER COLUMN request_version TYPE bigint;
ALTER TABLE request ALTER COLUMN version TYPE bigint;
ALTER TABLE visitor ALTER COLUMN version TYPE bigint;
