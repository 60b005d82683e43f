-- 0004 was edited after databases had run it (earlier.txt). Whichever form made this one, it has one schema from here on.
-- What the tabs count under any filter, without the rows themselves: those are wide.
CREATE INDEX IF NOT EXISTS request_to_count ON request (district, stage)
    INCLUDE (school, household_key, due_on, contact_again_on, claimed_by, claimed_until, pinned)
    WHERE stage <> 'closed';
