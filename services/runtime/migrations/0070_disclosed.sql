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

-- Added to and read, by everybody who was granted anything, the table's owner included. An owner could grant it anew:
-- only a login that is not the owner is kept from that.
DO $$
DECLARE
    holder text;
BEGIN
    REVOKE UPDATE, DELETE, TRUNCATE ON disclosed FROM PUBLIC, CURRENT_USER;
    FOR holder IN
        SELECT DISTINCT grantee::regrole::text
        FROM pg_class, LATERAL aclexplode(relacl) WHERE pg_class.oid = 'disclosed'::regclass AND grantee <> 0
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON disclosed FROM %s', holder);
    END LOOP;
END
$$;
