-- Whoever writes a log is told that nothing is taken of a family that is forgotten, and may not read who is.
CREATE FUNCTION visit_is_of_forgotten(of_visit uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM visit JOIN forgotten AS f ON f.subject = household_key
                   WHERE visit_id = of_visit AND f.version >= f.again);
END;

REVOKE ALL ON FUNCTION visit_is_of_forgotten(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION visit_is_of_forgotten(uuid) TO leap_service, leap_people;
