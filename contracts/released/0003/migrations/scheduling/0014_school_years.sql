-- A flag belongs to its school year. When the next one has begun in its district, it stands no more; how far it had gone
-- stays, for requests that somebody works on.
ALTER TABLE flagged_student ADD COLUMN over_level text
    CHECK (over_level IN ('none', 'at_risk', 'chronically_absent', 'severely_chronically_absent'));
CREATE INDEX flagged_student_of_a_year_over ON flagged_student (household_key) WHERE over_level <> 'none';

-- The newest school year of which a complete roll is known. Of databases of before the oldest with a flag: what the next
-- flag or figure begins ends the flags of the years before it.
CREATE TABLE school_year_begun (
    district    text PRIMARY KEY,
    school_year integer NOT NULL
);
INSERT INTO school_year_begun SELECT district, min(school_year) FROM flagged_student GROUP BY district;

ALTER TABLE request
    DROP CONSTRAINT request_closed_because_check,
    ADD CONSTRAINT request_closed_because_check CHECK (closed_because IN
        ('declined', 'not_reached', 'moved', 'no_longer_flagged', 'goal_met', 'year_over'));
