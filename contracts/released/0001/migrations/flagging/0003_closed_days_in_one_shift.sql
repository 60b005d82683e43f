-- The same days as before, by one shift: PostgreSQL runs days_between() as a call of its own, five microseconds for
-- each use, and a state's day asks 50,000 times. No completed day yet closes nothing.
CREATE OR REPLACE FUNCTION closed_days(completed bit, school_days bit, calendar_version bigint, school_year integer)
RETURNS bit LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN calendar_version >= 0 AND (school_days & ~ completed) = no_days() THEN all_days()
    ELSE coalesce(~ (all_days() >> (date_trunc('month', last_day(completed, school_year)::timestamp)::date
                                    - first_day_of(school_year))), no_days()) END;
