-- An index of trigrams, or of the ends of ids, answers only where nobody has to be asked first whose a row is: its
-- operators could tell of a hidden row. These run as the owner, whose rows have no rule, hold by themselves to the
-- scopes that the transaction names, and give keys: what stands behind a key is read as everything else is.
DO $$
DECLARE
    ours text := in_scope('district');
BEGIN
    EXECUTE format($make$
        CREATE FUNCTION households_called(sought text, most integer)
        RETURNS TABLE (household_key uuid, nearness double precision)
        LANGUAGE sql STABLE SECURITY DEFINER
        BEGIN ATOMIC
            SELECT c.household_key, word_similarity(lower(unaccent(sought)), c.words) AS near
            FROM household_contact AS c WHERE c.words %%> lower(unaccent(sought)) AND (%s)
            ORDER BY near DESC LIMIT most;
        END $make$, ours);
    EXECUTE format($make$
        CREATE FUNCTION households_of_digits(digits text)
        RETURNS TABLE (household_key uuid, nearness double precision)
        LANGUAGE sql STABLE SECURITY DEFINER
        BEGIN ATOMIC
            SELECT c.household_key, 1.0 FROM household_contact AS c
            WHERE c.words LIKE '%%' || digits || '%%' AND (%s);
        END $make$, ours);
    EXECUTE format($make$
        CREATE FUNCTION households_of_reference(reference text)
        RETURNS TABLE (household_key uuid, nearness double precision)
        LANGUAGE sql STABLE SECURITY DEFINER
        BEGIN ATOMIC
            SELECT r.household_key, 1.0 FROM request AS r
            WHERE right(r.request_id::text, 6) = lower(reference) AND (%s);
        END $make$, ours);
END $$;

REVOKE ALL ON FUNCTION
    households_called(text, integer), households_of_digits(text), households_of_reference(text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    households_called(text, integer), households_of_digits(text), households_of_reference(text)
TO leap_people;
