-- A child enrolled with the state's number alone, and elsewhere with the district's and the state's: all stints are the
-- child's. `child_key`: whose a number's stints are, where it is another's.
ALTER TABLE enrollment ADD COLUMN child_key uuid;
UPDATE enrollment e SET child_key = o.student_key
FROM (
    SELECT DISTINCT ON (number_key) number_key, student_key FROM enrollment
    WHERE number_key <> student_key AND NOT withdrawn
    ORDER BY number_key, source_version DESC, entry_date DESC, stint DESC, student_key DESC
) AS o
WHERE e.student_key = o.number_key;
CREATE INDEX enrollment_of_child ON enrollment (child_key) WHERE child_key IS NOT NULL;

-- The number is nobody any more; the pages of the schools of both are made anew.
UPDATE member SET entry_date = NULL, grade = NULL, household_key = NULL, person_key = NULL
WHERE student_key IN (SELECT student_key FROM enrollment WHERE child_key IS NOT NULL);
UPDATE school_year SET is_stale = true, checked_on = '-infinity'
WHERE (district, school) IN (
    SELECT district, school FROM enrollment
    WHERE child_key IS NOT NULL
       OR student_key IN (SELECT child_key FROM enrollment WHERE child_key IS NOT NULL));
