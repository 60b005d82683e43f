-- Lines that an earlier release wrote go as those of today do: by age, or with their district, and in no other way.
CREATE FUNCTION let_go_contact_disclosure(of_district text, older_than timestamptz, most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM contact_disclosure WHERE ctid IN (
            SELECT d.ctid FROM contact_disclosure AS d JOIN request USING (request_id)
            WHERE district = of_district AND shown_at < least(older_than, clock_timestamp() - interval '1 year')
            LIMIT most)
        RETURNING 1
    )
    SELECT count(*) FROM gone;
END;

CREATE FUNCTION erase_contact_disclosure_of_ended() RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM contact_disclosure
        WHERE request_id IN (SELECT request_id FROM request WHERE district IN (SELECT owner FROM ended_owner))
        RETURNING 1
    )
    SELECT count(*) FROM gone;
END;

REVOKE ALL ON FUNCTION let_go_contact_disclosure(text, timestamptz, integer), erase_contact_disclosure_of_ended()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION let_go_contact_disclosure(text, timestamptz, integer), erase_contact_disclosure_of_ended()
TO leap_service;
