-- The days behind a flag as they were last told: what is absent here and no longer there was corrected.
ALTER TABLE flag ADD COLUMN absent bit(366) NOT NULL DEFAULT no_days();

CREATE FUNCTION dates_of(days bit, school_year integer) RETURNS date[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(first_day_of(school_year) + n ORDER BY n), '{}')
    FROM generate_series(strpos(days::text, '1') - 1, 366 - strpos(reverse(days::text), '1')) AS n
    WHERE days <> no_days() AND get_bit(days, n) = 1
$$;

-- How it has been going lately, counted in the student's own counted days: the last 20, the 20 before them, and the
-- days missed in a row up to the last one. The same rule in Python: absence.py.
CREATE FUNCTION recent_days(counted bit, absent bit) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT json_build_object(
        'last_20_absent', count(*) FILTER (WHERE place <= 20 AND missed),
        'last_20_counted', count(*) FILTER (WHERE place <= 20),
        'before_20_absent', count(*) FILTER (WHERE place BETWEEN 21 AND 40 AND missed),
        'before_20_counted', count(*) FILTER (WHERE place BETWEEN 21 AND 40),
        'spell', coalesce(min(place) FILTER (WHERE NOT missed), count(*) + 1) - 1)
    FROM (
        SELECT get_bit(absent, n) = 1 AS missed, row_number() OVER (ORDER BY n DESC) AS place
        FROM generate_series(strpos(counted::text, '1') - 1, 366 - strpos(reverse(counted::text), '1')) AS n
        WHERE counted <> no_days() AND get_bit(counted, n) = 1
    ) AS day
$$;
