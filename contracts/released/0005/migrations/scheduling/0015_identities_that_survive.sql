-- Versions of requests and visitors follow the time of the command in microseconds, which an integer can't hold; and no
-- request or visit is named by a number drawn at random any more (contracts/identities.py). The columns' defaults stay
-- for a process of the release before, which may run beside this one.
ALTER TABLE request ALTER COLUMN version TYPE bigint;
ALTER TABLE request_history ALTER COLUMN version TYPE bigint;
ALTER TABLE contact_attempt ALTER COLUMN request_version TYPE bigint;
ALTER TABLE visitor ALTER COLUMN version TYPE bigint;

-- An id says no more since when somebody waits: who waits longest is asked of the day it was opened.
DROP INDEX request_next, request_on_the_desk, request_on_a_tab;
-- Every price that changes writes each index anew: request_next was a part of the first, which has the stage beside it.
CREATE INDEX request_on_the_desk ON request (district, pinned DESC, points DESC, opened_at, request_id) INCLUDE (stage)
    WHERE stage <> 'closed';
CREATE INDEX request_on_a_tab ON request (district, stage, pinned DESC, points DESC, opened_at, request_id);
