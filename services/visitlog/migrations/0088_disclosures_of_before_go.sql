-- Lines that an earlier release wrote go as those of today do: by age, or with their district, and in no other way.
CREATE FUNCTION let_go_disclosure(of_district text, older_than timestamptz, most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM disclosure WHERE ctid IN (
            SELECT ctid FROM disclosure
            WHERE district = of_district AND last_at < least(older_than, clock_timestamp() - interval '1 year')
            LIMIT most)
        RETURNING 1
    )
    SELECT count(*) FROM gone;
END;

CREATE FUNCTION erase_disclosure_of_ended() RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (DELETE FROM disclosure WHERE district IN (SELECT owner FROM ended_owner) RETURNING 1)
    SELECT count(*) FROM gone;
END;

REVOKE ALL ON FUNCTION let_go_disclosure(text, timestamptz, integer), erase_disclosure_of_ended() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION let_go_disclosure(text, timestamptz, integer), erase_disclosure_of_ended() TO leap_service;
