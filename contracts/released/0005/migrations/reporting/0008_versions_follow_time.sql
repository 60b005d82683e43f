-- Versions of requests and visitors follow the time of the command in microseconds, which an integer can't hold.
ALTER TABLE request
    ALTER COLUMN requested_version TYPE bigint,
    ALTER COLUMN agreed_version TYPE bigint,
    ALTER COLUMN declined_version TYPE bigint,
    ALTER COLUMN withdrawn_version TYPE bigint,
    ALTER COLUMN stage_version TYPE bigint;
ALTER TABLE appointment ALTER COLUMN version TYPE bigint, ALTER COLUMN cancelled_version TYPE bigint;
ALTER TABLE contact ALTER COLUMN version TYPE bigint;
ALTER TABLE visitor ALTER COLUMN version TYPE bigint;
