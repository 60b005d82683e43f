-- A landed roll is one record (`roll`) with many marks: those that went on (`roll_mark`) and those that went back
-- (`roll_mark_rejected`) are counted for themselves, and left out where records are held against offsets.
ALTER TABLE landed_count DROP CONSTRAINT landed_count_kind_check;
ALTER TABLE landed_count ADD CONSTRAINT landed_count_kind_check CHECK (
    kind IN ('mark', 'retraction', 'roll', 'roster', 'rejected', 'roll_mark', 'roll_mark_rejected')
);

-- How a school reports, as its district last told by a calendar, a completed roll or a declaration. School '' stands for
-- every school of the district. The key keeps one answer for each: the last one.
CREATE TABLE told_feed (
    district text NOT NULL,
    school   text NOT NULL,
    feed     text NOT NULL CHECK (feed IN ('exceptions', 'full')),
    PRIMARY KEY (district, school)
);
