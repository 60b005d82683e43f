-- On which day a visit is, the service's zone says: its connections tell it as leap.time_zone. Whoever comes by another
-- way says SET leap.time_zone first; without it nothing is agreed, rather than by the day of some other place.
CREATE OR REPLACE FUNCTION refuse_visitor_without_leap101() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    visit_day date := (NEW.starts_at AT TIME ZONE current_setting('leap.time_zone'))::date;
    trained   integer;
BEGIN
    SELECT count(*) INTO trained FROM (
        SELECT FROM visitor
        WHERE visitor_id IN (NEW.first_visitor, NEW.second_visitor)
          AND visit_day BETWEEN leap101_valid_from AND leap101_valid_until
        FOR SHARE
    ) AS valid;
    IF trained <> 2 THEN
        RAISE EXCEPTION 'a visitor has no LEAP 101 valid on the day of the visit'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'leap101_is_current';
    END IF;
    RETURN NEW;
END $$;
