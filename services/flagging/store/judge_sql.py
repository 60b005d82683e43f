"""Judging: once per batch, after all of it, for the students whose days may have crossed a line."""

from services.flagging.store.changes_sql import RULE, TALLIES_DUE

# Subqueries, not functions: PostgreSQL would start each of them anew for every flag, at ten times the price.
_PLACES = "generate_series(strpos(({days})::text, '1') - 1, 366 - strpos(reverse(({days})::text), '1'))"


def dates_of(days: str, school_year: str) -> str:
    """Write a subquery for the dates of a bitmap, oldest first, as a JSON list."""
    return f"""(
        SELECT coalesce(json_agg(first_day_of({school_year}) + n ORDER BY n), '[]'::json)
        FROM {_PLACES.format(days=days)} AS n WHERE {days} <> no_days() AND get_bit({days}, n) = 1)"""


def recent_days(counted: str, absent: str) -> str:
    """Write a subquery for how it has been going lately, as JSON. The same rule in Python: absence.py."""
    return f"""(
        SELECT json_build_object(
            'last_20_absent', count(*) FILTER (WHERE place <= 20 AND missed),
            'last_20_counted', count(*) FILTER (WHERE place <= 20),
            'before_20_absent', count(*) FILTER (WHERE place BETWEEN 21 AND 40 AND missed),
            'before_20_counted', count(*) FILTER (WHERE place BETWEEN 21 AND 40),
            'spell', coalesce(min(place) FILTER (WHERE NOT missed), count(*) + 1) - 1)
        FROM (
            SELECT get_bit({absent}, n) = 1 AS missed, row_number() OVER (ORDER BY n DESC) AS place
            FROM {_PLACES.format(days=counted)} AS n WHERE {counted} <> no_days() AND get_bit({counted}, n) = 1
        ) AS day)"""


# What a record yields moved: the same tallies are due as where its days did.
_TALLIES_DUE = TALLIES_DUE.replace("FROM changed", "FROM yielded")

# Last year's days are read too: a chronic year makes two September absences a warning, so a correction of last year
# may change this year's flag. A day that two stints claim goes to the later entry (equal entry: the larger stint id);
# "at such school" (accumulator school) nothing of another school is laid over, and pre-kindergarten claims nothing.
JUDGE = f"""
WITH asked AS MATERIALIZED (
    SELECT DISTINCT student_key, school_year + following AS school_year
    FROM unnest($1::uuid[], $2::int[]) AS a (student_key, school_year), (VALUES (0), (1)) AS f (following)
), {RULE}, claim AS MATERIALIZED (
    SELECT r.student_key, r.school_year, r.school, r.lane, r.district, r.household_key, r.grade, r.watched, r.counted,
        r.absent, r.yielded, e.grade <> 'PK' AS judged, e.entry_date AS entered, e.stint,
        r.counted & days_between(
            e.entry_date,
            CASE WHEN e.exit_date IS NULL THEN first_day_of(r.school_year + 1) - 1
                 WHEN e.exit_day_counts THEN e.exit_date ELSE e.exit_date - 1 END,
            r.school_year) AS days
    FROM (SELECT student_key, school_year FROM asked UNION SELECT student_key, school_year - 1 FROM asked) basis
    JOIN absence_record r USING (student_key, school_year)
    JOIN enrollment e ON e.student_key = r.student_key AND e.district = r.district AND e.school = r.school
     AND NOT e.withdrawn AND e.entry_date < first_day_of(r.school_year + 1)
     AND coalesce(e.exit_date, 'infinity') >= first_day_of(r.school_year)
), own AS (
    -- What each record yields to stints elsewhere, so that sums over schools count a child's day once.
    SELECT student_key, school_year, school, bit_or(days & ~ claimed_later) AS days
    FROM (
        SELECT claim.*, coalesce(bit_or(days) OVER (
            PARTITION BY student_key, school_year ORDER BY entered DESC, stint DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), no_days()) AS claimed_later
        FROM claim WHERE watched
    ) c GROUP BY student_key, school_year, school
), yielding AS (
    UPDATE absence_record r SET yielded = r.counted & ~ coalesce(own.days, no_days())
    FROM (SELECT student_key, school_year FROM asked UNION SELECT student_key, school_year - 1 FROM asked) basis
    JOIN absence_record i USING (student_key, school_year)
    LEFT JOIN own ON own.student_key = i.student_key AND own.school_year = i.school_year AND own.school = i.school
    WHERE r.student_key = i.student_key AND r.school_year = i.school_year AND r.school = i.school
      AND r.watched AND r.yielded <> r.counted & ~ coalesce(own.days, no_days())
    RETURNING r.student_key, r.school_year, r.school, r.lane, r.district, old.yielded # new.yielded AS moved
), yielded AS MATERIALIZED (
    SELECT y.*, coalesce(s.completed, no_days()) AS completed, coalesce(s.closed, no_days()) AS closed
    FROM yielding y LEFT JOIN school_year s USING (lane, district, school, school_year)
), {_TALLIES_DUE}, part AS (
    SELECT claim.*,
        coalesce(own.version, standard.version) AS policy_version,
        coalesce(own.min_enrolled_days, standard.min_enrolled_days) AS min_enrolled_days,
        coalesce(own.early_absences, standard.early_absences) AS early_absences,
        coalesce(own.early_days, standard.early_days) AS early_days,
        coalesce(own.accumulator, standard.accumulator) AS accumulator,
        standard.min_enrolled_days AS standard_days,
        coalesce(bit_or(days) OVER (
            PARTITION BY student_key, school_year,
                CASE coalesce(own.accumulator, standard.accumulator) WHEN 'school' THEN school END
            ORDER BY entered DESC, stint DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), no_days())
            AS claimed_later,
        coalesce(bit_or(days) OVER (
            PARTITION BY student_key, school_year
            ORDER BY entered DESC, stint DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), no_days())
            AS claimed_in_district
    FROM claim
    JOIN rule standard ON standard.district = '' LEFT JOIN rule own ON own.district = claim.district
    WHERE judged
), last_year AS (
    -- By the standard policy, over the district, whatever the district's own policy says of this year.
    SELECT student_key, school_year + 1 AS school_year,
        bit_count(bit_or(days)) >= min(standard_days)
        AND 10 * bit_count(bit_or(days & absent & ~ claimed_in_district)) >= bit_count(bit_or(days)) AS chronic
    FROM part GROUP BY student_key, school_year
), days AS (
    SELECT student_key, school_year, bit_or(days) AS counted, bit_or(days & absent & ~ claimed_later) AS absent,
        (array_agg(school ORDER BY entered DESC, stint DESC))[1] AS school, min(district) AS district,
        (array_agg(household_key ORDER BY entered DESC, stint DESC))[1] AS household_key,
        (array_agg(grade ORDER BY entered DESC, stint DESC))[1] AS grade,
        min(policy_version) AS policy_version, min(min_enrolled_days) AS min_enrolled_days,
        min(early_absences) AS early_absences, min(early_days) AS early_days, accumulator
    FROM part GROUP BY student_key, school_year, accumulator, CASE accumulator WHEN 'school' THEN school END
), measured AS MATERIALIZED (
    SELECT days.*, standing(counted, absent, grade, min_enrolled_days, early_absences, early_days) AS standing
    FROM days
), verdict AS MATERIALIZED (
    SELECT DISTINCT ON (m.student_key, m.school_year) m.*,
        CASE m.standing WHEN -1 THEN (l.chronic IS TRUE)::int ELSE m.standing END AS level,
        l.chronic AS chronic_last_year
    FROM measured m LEFT JOIN last_year l USING (student_key, school_year)
    ORDER BY m.student_key, m.school_year, level DESC, bit_count(m.absent) DESC, m.school DESC
), crossed AS (
    INSERT INTO flag AS f (student_key, school_year, district, school, household_key, level, version, days_absent,
                           days_enrolled, as_of, policy_version, absent)
    SELECT a.student_key, a.school_year, coalesce(v.district, was.district), coalesce(v.school, was.school),
        coalesce(v.household_key, was.household_key), coalesce(v.level, 0), greatest(1, $4::bigint),
        coalesce(bit_count(v.absent), 0), coalesce(bit_count(v.counted), 0),
        coalesce(last_day(v.counted, a.school_year), was.as_of), coalesce(v.policy_version, was.policy_version),
        coalesce(v.absent, no_days())
    FROM asked a LEFT JOIN verdict v USING (student_key, school_year)
    LEFT JOIN flag was ON was.student_key = a.student_key AND was.school_year = a.school_year
    WHERE coalesce(v.level, 0) <> coalesce(was.level, 0)
       -- A roster may come after the marks: the request must move to the household it then names.
       OR v.level > 0 AND v.household_key <> coalesce(was.household_key, a.student_key)
       -- No line crossed: whoever was flagged this year has the figures of today told all the same.
       OR was.student_key IS NOT NULL
          AND (was.absent, was.days_enrolled, was.as_of, was.school, was.policy_version) IS DISTINCT FROM (
              coalesce(v.absent, no_days()), coalesce(bit_count(v.counted), 0),
              coalesce(last_day(v.counted, a.school_year), was.as_of), coalesce(v.school, was.school),
              coalesce(v.policy_version, was.policy_version))
    ORDER BY a.student_key, a.school_year
    ON CONFLICT (student_key, school_year) DO UPDATE
    SET district = excluded.district, school = excluded.school, household_key = excluded.household_key,
        level = excluded.level, version = greatest(f.version + 1, $4::bigint),
        days_absent = excluded.days_absent, days_enrolled = excluded.days_enrolled, as_of = excluded.as_of,
        policy_version = excluded.policy_version, absent = excluded.absent
    RETURNING new.*, coalesce(old.level, 0) AS previous_level,
        coalesce(old.absent & ~ new.absent, no_days()) AS corrected,
        new.level <> coalesce(old.level, 0) OR new.household_key IS DISTINCT FROM old.household_key AS is_crossing
), history AS (
    INSERT INTO flag_history (student_key, school_year, version, level, previous_level, school, days_absent,
                              days_enrolled, as_of, policy_version)
    SELECT student_key, school_year, version, level, previous_level, school, days_absent, days_enrolled, as_of,
           policy_version
    FROM crossed WHERE level <> previous_level
), figure AS MATERIALIZED (
    SELECT c.*, lane_of(c.student_key) AS lane, v.grade, coalesce(v.accumulator, 'district') AS accumulator,
        v.chronic_last_year,
        (ARRAY['none', 'at_risk', 'chronically_absent', 'severely_chronically_absent'])[c.level + 1] AS level_name,
        {dates_of("c.absent", "c.school_year")} AS absent_days,
        {recent_days("coalesce(v.counted, no_days())", "c.absent")} AS recent
    FROM crossed c LEFT JOIN verdict v USING (student_key, school_year)
), crossings AS (
    INSERT INTO outbox (topic, key, event_id, event_type, payload)
    SELECT 'absence-flags', c.student_key::text, event_id, event_type, json_build_object(
        'event_type', event_type, 'event_id', event_id, 'occurred_at', $3::text, 'district', c.district,
        'school', c.school, 'student_key', c.student_key, 'household_key', c.household_key, 'grade', c.grade,
        'school_year', c.school_year, 'accumulator', c.accumulator, 'level', c.level_name,
        'previous_level', level_names[c.previous_level + 1],
        'days_absent', c.days_absent, 'days_enrolled', c.days_enrolled, 'as_of', c.as_of,
        'policy_version', c.policy_version, 'version', c.version, 'absent_days', c.absent_days,
        'corrected_days', {dates_of("c.corrected", "c.school_year")},
        'recent', c.recent, 'chronic_last_year', c.chronic_last_year)::text
    FROM figure c
    CROSS JOIN LATERAL (
        -- The same crossing has the same identity, whoever publishes it.
        SELECT md5('absence-flag/' || c.student_key || '/' || c.school_year || '/' || c.version)::uuid AS event_id,
            CASE WHEN c.level = 0 THEN 'absence-flag.cleared.v1'
                 WHEN c.previous_level = 0 THEN 'absence-flag.raised.v1'
                 ELSE 'absence-flag.changed.v1' END AS event_type,
            ARRAY['none', 'at_risk', 'chronically_absent', 'severely_chronically_absent'] AS level_names
    ) e
    WHERE c.is_crossing
    ORDER BY c.student_key, c.school_year
), figures AS (
    -- To the students' own partition: one subject, one order. A record holds a thousand students at most.
    INSERT INTO outbox (topic, partition, key, event_id, event_type, payload)
    SELECT 'absence-flags', lane, district, event_id, 'absence-flag.figures-updated.v1', json_build_object(
        'event_type', 'absence-flag.figures-updated.v1', 'event_id', event_id, 'occurred_at', $3::text,
        'district', district, 'school', school, 'school_year', school_year, 'as_of', as_of,
        'policy_version', policy_version, 'students', students, 'grades', grades, 'levels', levels,
        'versions', versions, 'days_absent', days_absent, 'days_enrolled', days_enrolled,
        'absent_days', absent_days, 'recent', recent, 'chronic_last_year', chronic_last_year)::text
    FROM (
        SELECT lane, district, school, school_year, as_of, policy_version,
            md5('absence-figures/' || school_year || '/'
                || string_agg(student_key || '/' || version, ' ' ORDER BY student_key))::uuid AS event_id,
            json_agg(student_key ORDER BY student_key) AS students, json_agg(grade ORDER BY student_key) AS grades,
            json_agg(level_name ORDER BY student_key) AS levels, json_agg(version ORDER BY student_key) AS versions,
            json_agg(days_absent ORDER BY student_key) AS days_absent,
            json_agg(days_enrolled ORDER BY student_key) AS days_enrolled,
            json_agg(absent_days ORDER BY student_key) AS absent_days, json_agg(recent ORDER BY student_key) AS recent,
            json_agg(chronic_last_year ORDER BY student_key) AS chronic_last_year
        FROM (SELECT *, row_number() OVER (
                  PARTITION BY lane, district, school, school_year, as_of, policy_version ORDER BY student_key) - 1 AS n
              FROM figure WHERE NOT is_crossing) f
        GROUP BY lane, district, school, school_year, as_of, policy_version, n / 1000
    ) f
)
SELECT student_key, school_year FROM crossed WHERE level > 0 AND previous_level = 0"""
