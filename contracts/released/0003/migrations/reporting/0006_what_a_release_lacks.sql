-- A publication says what it lacks: districts and schools whose month had not closed, rolls that were missing. NULL in
-- those that were made before: nobody knows any more.
ALTER TABLE release ADD COLUMN lacks jsonb;

-- What a month lacks is asked every few seconds while its publication waits.
CREATE INDEX day_tally_by_day ON day_tally (school_day);
CREATE INDEX school_day_by_day ON school_day (school_day);
