-- Requests from people see the rows of their districts, whatever they ask for. What belongs to a request, a visit or a
-- visitor is seen by who sees that.
SELECT keep_apart(kept, in_scope('district')) FROM unnest(ARRAY[
    'flagged_student', 'request', 'visitor', 'household_contact', 'policy', 'school_calendar', 'teaching_day',
    'district_status', 'school_year_begun'
]::regclass[]) AS kept;

SELECT keep_apart(kept, format('EXISTS (SELECT FROM request WHERE request.request_id = %s.request_id)', kept))
FROM unnest(ARRAY['contact_attempt', 'contact_disclosure', 'request_history', 'offered_time', 'visit']::regclass[])
     AS kept;

SELECT keep_apart(kept, format('EXISTS (SELECT FROM visit WHERE visit.visit_id = %s.visit_id)', kept))
FROM unnest(ARRAY['appointment', 'promise']::regclass[]) AS kept;

SELECT keep_apart(kept, format('EXISTS (SELECT FROM visitor WHERE visitor.visitor_id = %s.visitor_id)', kept))
FROM unnest(ARRAY['booking', 'visitor_window', 'visitor_away', 'visitor_exclusion']::regclass[]) AS kept;

-- Which versions a district took back is nobody's to see.
SELECT keep_apart('household_forgotten', 'false');

GRANT SELECT ON
    flagged_student, request, visitor, household_contact, policy, school_calendar, teaching_day, district_status,
    school_year_begun, contact_attempt, contact_disclosure, request_history, offered_time, visit, appointment, promise,
    booking, visitor_window, visitor_away, visitor_exclusion
TO leap_people;
-- What the desk's commands write.
GRANT INSERT, UPDATE ON
    request, contact_attempt, visitor, visit, promise, district_status, policy, appointment
TO leap_people;
GRANT INSERT ON request_history, contact_disclosure TO leap_people;
GRANT INSERT, UPDATE, DELETE ON booking, offered_time, visitor_window, visitor_away, visitor_exclusion TO leap_people;

-- Who saw how to reach a family is written once. Nobody but the owner takes a line of it back.
REVOKE UPDATE, DELETE, TRUNCATE ON contact_disclosure FROM leap_service;

-- What is taken back after a restore was asked for its training when it was agreed. The owner alone could switch the
-- trigger off, so it is told: by the transaction, for the transaction.
CREATE OR REPLACE FUNCTION refuse_visitor_without_leap101() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    visit_day date := (NEW.starts_at AT TIME ZONE current_setting('leap.time_zone'))::date;
    trained   integer;
BEGIN
    IF current_setting('leap.taking_back', true) = 'on' THEN
        RETURN NEW;
    END IF;
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
