-- The tables belong to their owner, who makes and changes them; the service has their rows; requests from people may do
-- what each service's own files grant LEAP_PEOPLE, and nothing else. `leap up` and the job before the services make the
-- roles: a database that nobody prepared is refused here, or the service would find every table empty.
DO $$
BEGIN
    IF to_regrole('leap_people') IS NULL OR to_regrole('leap_service') IS NULL OR to_regrole('leap_owner') IS NULL
        OR NOT pg_has_role(current_user, to_regrole('leap_owner'), 'USAGE') THEN
        RAISE EXCEPTION 'the roles of this database are those of an earlier release'
            USING HINT = 'Prepare it first: `leap up`, or the job `python -m deploy.containers.prepare`.';
    END IF;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, MAINTAIN ON ALL TABLES IN SCHEMA %I TO leap_service',
                   current_schema());
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO leap_service', current_schema());
    -- What later files make. Of this schema alone: a copy of it is restored with what it says itself.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE,
                    MAINTAIN ON TABLES TO leap_service', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE ON SEQUENCES TO leap_service', current_schema());
END $$;

-- What people do is told to others; what else is told is none of their business.
GRANT INSERT ON outbox TO leap_people;

-- Row-level security for one table: its owner and the service see all rows, people's requests those that are `whose`.
CREATE FUNCTION keep_apart(kept regclass, whose text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', kept);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', kept);
    EXECUTE format('CREATE POLICY owners ON %s TO leap_owner USING (true)', kept);
    EXECUTE format('CREATE POLICY services ON %s TO leap_service USING (true)', kept);
    EXECUTE format('CREATE POLICY peoples ON %s TO leap_people USING (%s)', kept, whose);
END $$;

-- Whose rows, where a column says of which scope a row is: those of the scopes that the transaction names in leap.scopes,
-- all with *, none where it names none. Asked once for a statement and not for each row, and in a form that an index on
-- the column answers.
CREATE FUNCTION in_scope(named name) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format($rule$(SELECT current_setting('leap.scopes', true)) = '*'
        OR %I = ANY ((SELECT string_to_array(current_setting('leap.scopes', true), ','))::text[])$rule$, named)
$$;
