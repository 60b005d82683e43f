"""What the reports read about students and schools, visitors and the queue."""

from datetime import date, datetime
from typing import Any

from services.reporting.store.queries import Lines, lines_of
from services.runtime.database import Connection


async def flagged_now(connection: Connection, *, school_year: int, district: str) -> Lines:
    """Count a district's students flagged now, by school, grade and level."""
    return await lines_of(
        connection,
        """
        SELECT school, grade, level, count(*) AS students FROM flag_today
        WHERE school_year = $1 AND district = $2 AND level <> 'none'
        GROUP BY school, grade, level ORDER BY school, grade, level
        """,
        school_year,
        district,
    )


async def queue(connection: Connection, *, now: datetime, district: str, school: str | None = None) -> Lines:
    """Show a district's open requests by stage: how many, and their median and longest days in it."""
    return await lines_of(
        connection,
        """
        SELECT coalesce(stage, 'new') AS stage, count(*) AS requests,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY days) AS median_days, max(days) AS longest_days
        FROM (SELECT stage, extract(epoch FROM $1 - coalesce(stage_at, requested_at))::double precision / 86400 AS days
              FROM request
              WHERE district = $2 AND requested_at IS NOT NULL AND withdrawn_at IS NULL
                    AND coalesce(stage, 'new') <> 'closed'
                    AND ($3::text IS NULL OR EXISTS (
                        SELECT FROM flag_today AS flag
                        WHERE flag.household_key = request.household_key AND flag.school = $3))
             ) AS waiting
        GROUP BY 1
        """,
        now,
        district,
        school,
    )


async def visits_of_school(
    connection: Connection, *, since: datetime, until: datetime, district: str, school: str, school_year: int
) -> dict[str, Any]:
    """Count what became of the households of one school's flagged students."""
    (line,) = await lines_of(
        connection,
        """
        WITH family AS (
            SELECT DISTINCT household_key FROM flag_today
            WHERE district = $3 AND school = $4 AND school_year = $5 AND ever_flagged
        )
        SELECT (SELECT count(*) FROM family) AS flagged_families,
               (SELECT count(*) FROM visit JOIN family USING (household_key)
                WHERE completed AND started_at >= $1 AND started_at < $2) AS visits,
               (SELECT count(DISTINCT household_key) FROM visit JOIN family USING (household_key)
                WHERE completed AND started_at >= $1 AND started_at < $2) AS visited_families,
               (SELECT count(DISTINCT household_key) FROM request JOIN family USING (household_key)
                WHERE declined_at >= $1 AND declined_at < $2 AND declined_version > coalesce(agreed_version, 0))
                   AS declined_families,
               (SELECT count(*) FROM flag_today
                WHERE district = $3 AND school = $4 AND school_year = $5 AND ever_flagged AND level = 'none')
                   AS students_improved
        """,
        since,
        until,
        district,
        school,
        school_year,
    )
    return line


async def visitors(connection: Connection, *, as_of: date, since: datetime, until: datetime) -> Lines:
    """Count, per district, visitors whose LEAP 101 is valid that day, and those of them who visited."""
    return await lines_of(
        connection,
        """
        WITH busy AS (
            SELECT DISTINCT unnest(pair) AS visitor_id FROM visit_log
            WHERE outcome = 'took_place' AND started_at >= $2 AND started_at < $3
        )
        SELECT district, count(*) AS trained, count(busy.visitor_id) AS active
        FROM visitor LEFT JOIN busy USING (visitor_id)
        WHERE active AND leap101_valid_from <= $1 AND leap101_valid_until >= $1
        GROUP BY district ORDER BY district
        """,
        as_of,
        since,
        until,
    )


async def languages(connection: Connection, *, as_of: date, district: str | None = None) -> Lines:
    """Count trained visitors by language they speak: district, language, trained."""
    return await lines_of(
        connection,
        """
        SELECT district, language, count(*) AS trained
        FROM visitor CROSS JOIN LATERAL unnest(languages) AS language
        WHERE active AND leap101_valid_from <= $1 AND leap101_valid_until >= $1
              AND ($2::text IS NULL OR district = $2)
        GROUP BY district, language ORDER BY district, trained DESC, language
        """,
        as_of,
        district,
    )


async def load(connection: Connection, *, since: datetime, until: datetime, district: str | None = None) -> Lines:
    """Count visits made by each visitor, by the visitor's code."""
    return await lines_of(
        connection,
        """
        SELECT district, visitor_id AS visitor, count(DISTINCT visit_id) AS visits
        FROM visit_log CROSS JOIN LATERAL unnest(pair) AS visitor_id
        WHERE outcome = 'took_place' AND started_at >= $1 AND started_at < $2 AND ($3::text IS NULL OR district = $3)
        GROUP BY district, visitor_id ORDER BY district, visits DESC, visitor_id
        """,
        since,
        until,
        district,
    )


async def districts(connection: Connection) -> list[str]:
    """Name every district of which anything is known."""
    # From one name to the next along the index: these tables have millions of rows and few districts.
    skip = """
        SELECT min(district) AS district FROM {table}
        UNION ALL
        SELECT (SELECT min(district) FROM {table} AS t WHERE t.district > known.district)
        FROM known WHERE known.district IS NOT NULL
    """
    rows = await connection.fetch(
        f"""
        WITH RECURSIVE of_months AS ({skip.format(table="student_month").replace("known", "of_months")}),
        of_days AS ({skip.format(table="day_tally").replace("known", "of_days")}),
        of_parts AS ({skip.format(table="school_day").replace("known", "of_parts")})
        SELECT district FROM of_months WHERE district IS NOT NULL
        UNION SELECT district FROM of_days WHERE district IS NOT NULL
        UNION SELECT district FROM of_parts WHERE district IS NOT NULL
        UNION SELECT district FROM flag UNION SELECT district FROM request UNION SELECT district FROM visit
        UNION SELECT district FROM visitor
        ORDER BY 1
        """
    )
    return [row["district"] for row in rows]


async def counts(connection: Connection) -> dict[str, int]:
    """Count what the projections hold, for reconciliation with the services that own the facts."""
    (row,) = await connection.fetch(
        """
        SELECT (SELECT count(*) FROM flag_today WHERE level <> 'none') AS students_flagged_now,
               (SELECT count(*) FROM flag WHERE ever_flagged) AS students_ever_flagged,
               (SELECT count(*) FROM request WHERE requested_version IS NOT NULL) AS requests,
               (SELECT count(*) FROM request WHERE withdrawn_version IS NOT NULL) AS requests_withdrawn,
               (SELECT count(*) FROM visit WHERE completed) AS visits_completed,
               (SELECT count(*) FROM visit WHERE NOT completed) AS visits_attempted,
               (SELECT count(*) FROM student_month) AS student_months,
               (SELECT count(*) FROM told_day) AS school_days,
               (SELECT coalesce(sum(students_counted), 0)::bigint FROM told_day) AS student_days_counted,
               (SELECT coalesce(sum(students_absent), 0)::bigint FROM told_day) AS student_days_absent
        """
    )
    return dict(row)
