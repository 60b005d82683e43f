-- Who read what of whom, why, when and through which door: one row per reading and scope, written in the transaction that
-- reads. Where no row can be written, nothing is answered.
CREATE TABLE disclosed (
    disclosure bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    since timestamptz,               -- the first of several readings, where one row stands for them
    times integer NOT NULL DEFAULT 1 CHECK (times >= 1),
    person text NOT NULL,
    role text,                       -- NULL, as door and route: written before these were
    what text[] NOT NULL CHECK (cardinality(what) > 0),
    scope text NOT NULL,
    whose uuid[] NOT NULL CHECK (cardinality(whose) > 0),  -- those who are asked for together, by their keys
    members uuid[] NOT NULL DEFAULT '{}',                  -- single ones among them, where they were meant
    purpose text NOT NULL,
    door text,
    route text,                      -- method and pattern, never an address
    counted boolean NOT NULL         -- says who somebody is, or what they said: bounded by the hour
);
CREATE INDEX disclosed_by_time ON disclosed (at, disclosure);
-- What one person has read in the last hour.
CREATE INDEX disclosed_by_person ON disclosed (person, at);
CREATE INDEX disclosed_by_scope ON disclosed (scope, at, disclosure);
CREATE INDEX disclosed_by_whose ON disclosed USING gin (whose);
CREATE INDEX disclosed_by_member ON disclosed USING gin (members);

-- Everybody reads what lies in their scopes, and writes only that.
SELECT keep_apart('disclosed', in_scope('scope'));
GRANT SELECT, INSERT ON disclosed TO leap_people;

-- Added to and read, by the service as by people. The owner alone takes a line back, and by these two: of what is over a
-- year old whatever it is asked, and of whose contract is over. Each is bound to its table and not to a name: the schema
-- may be given another one.
REVOKE UPDATE, DELETE, TRUNCATE ON disclosed FROM leap_service;

CREATE FUNCTION let_go_disclosed(of_scope text, older_than timestamptz, most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM disclosed WHERE disclosure IN (
            SELECT disclosure FROM disclosed
            WHERE scope = of_scope AND at < least(older_than, clock_timestamp() - interval '1 year')
            ORDER BY at LIMIT most)
        RETURNING 1
    )
    SELECT count(*) FROM gone;
END;

CREATE FUNCTION erase_disclosed_of_ended() RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (DELETE FROM disclosed WHERE scope IN (SELECT owner FROM ended_owner) RETURNING 1)
    SELECT count(*) FROM gone;
END;

REVOKE ALL ON FUNCTION let_go_disclosed(text, timestamptz, integer), erase_disclosed_of_ended() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION let_go_disclosed(text, timestamptz, integer), erase_disclosed_of_ended() TO leap_service;
