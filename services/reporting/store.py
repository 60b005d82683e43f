"""Reporting's projections: one upsert per table and batch, newest version or largest value, whatever the order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

Rows = Sequence[tuple[Any, ...]]


async def _upsert(connection: asyncpg.Connection, statement: str, rows: Rows) -> None:
    if rows:
        await connection.execute(statement, *(list(column) for column in zip(*rows, strict=True)))


async def keep_flags(connection: asyncpg.Connection, rows: Rows) -> None:
    """This will keep each student's newest flag of a school year.

    Rows: student_key, school_year, household_key, district, school, level, version, occurred_at.
    """
    await _upsert(
        connection,
        """
        INSERT INTO flag AS kept (student_key, school_year, household_key, district, school, level, ever_flagged,
                                  version, last_event_at)
        SELECT DISTINCT ON (student_key, school_year) student_key, school_year, household_key, district, school, level,
               bool_or(level <> 'none') OVER same, version, max(occurred_at) OVER same
        FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[],
                    $8::timestamptz[])
            AS f (student_key, school_year, household_key, district, school, level, version, occurred_at)
        WINDOW same AS (PARTITION BY student_key, school_year)
        ORDER BY student_key, school_year, version DESC
        ON CONFLICT (student_key, school_year) DO UPDATE
        SET household_key = CASE WHEN EXCLUDED.version > kept.version
                                 THEN EXCLUDED.household_key ELSE kept.household_key END,
            district = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.district ELSE kept.district END,
            school = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.school ELSE kept.school END,
            level = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.level ELSE kept.level END,
            ever_flagged = kept.ever_flagged OR EXCLUDED.ever_flagged,
            version = greatest(kept.version, EXCLUDED.version),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """,
        rows,
    )


async def keep_requests(connection: asyncpg.Connection, rows: Rows) -> None:
    """This will keep at which version each request was opened, agreed, declined and withdrawn.

    Rows: request_id, household_key, district, requested, agreed, declined and withdrawn version (one of them or
    none, the others None), occurred_at.
    """
    await _upsert(
        connection,
        """
        INSERT INTO request AS kept (request_id, household_key, district, requested_version, agreed_version,
                                     declined_version, withdrawn_version, last_event_at)
        SELECT request_id, household_key, district, max(requested), max(agreed), max(declined), max(withdrawn),
               max(occurred_at)
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::integer[],
                    $8::timestamptz[])
            AS r (request_id, household_key, district, requested, agreed, declined, withdrawn, occurred_at)
        GROUP BY request_id, household_key, district
        ORDER BY request_id
        ON CONFLICT (request_id) DO UPDATE
        SET requested_version = greatest(kept.requested_version, EXCLUDED.requested_version),
            agreed_version = greatest(kept.agreed_version, EXCLUDED.agreed_version),
            declined_version = greatest(kept.declined_version, EXCLUDED.declined_version),
            withdrawn_version = greatest(kept.withdrawn_version, EXCLUDED.withdrawn_version),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """,
        rows,
    )


async def keep_logged_visits(connection: asyncpg.Connection, rows: Rows) -> None:
    """This will keep which visits were logged, and which took place.

    Rows: visit_id, household_key, district, completed, occurred_at.
    """
    await _upsert(
        connection,
        """
        INSERT INTO visit AS kept (visit_id, household_key, district, completed, last_event_at)
        SELECT visit_id, household_key, district, bool_or(completed), max(occurred_at)
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::timestamptz[])
            AS v (visit_id, household_key, district, completed, occurred_at)
        GROUP BY visit_id, household_key, district
        ORDER BY visit_id
        ON CONFLICT (visit_id) DO UPDATE
        SET completed = kept.completed OR EXCLUDED.completed,
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """,
        rows,
    )


async def keep_student_months(connection: asyncpg.Connection, rows: Rows) -> None:
    """This will keep each student's newest month at a school.

    Rows: student_key, district, school, month, grade, days_enrolled, days_absent, version.
    """
    await _upsert(
        connection,
        """
        INSERT INTO student_month AS kept (student_key, district, school, month, grade, days_enrolled, days_absent,
                                           version)
        SELECT DISTINCT ON (student_key, school, month) *
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::date[], $5::text[], $6::integer[], $7::integer[],
                    $8::integer[])
            AS m (student_key, district, school, month, grade, days_enrolled, days_absent, version)
        ORDER BY student_key, school, month, version DESC
        ON CONFLICT (student_key, school, month) DO UPDATE
        SET grade = EXCLUDED.grade, days_enrolled = EXCLUDED.days_enrolled, days_absent = EXCLUDED.days_absent,
            version = EXCLUDED.version
        WHERE EXCLUDED.version > kept.version
        """,
        rows,
    )


async def keep_school_days(connection: asyncpg.Connection, rows: Rows) -> None:
    """This will keep the newest version of each part of a school's day.

    Rows: district, school, school_day, part, students_counted, students_absent, version.
    """
    await _upsert(
        connection,
        """
        INSERT INTO school_day AS kept (district, school, school_day, part, students_counted, students_absent, version)
        SELECT DISTINCT ON (district, school, school_day, part) *
        FROM unnest($1::text[], $2::text[], $3::date[], $4::integer[], $5::integer[], $6::integer[], $7::integer[])
            AS d (district, school, school_day, part, students_counted, students_absent, version)
        ORDER BY district, school, school_day, part, version DESC
        ON CONFLICT (district, school, school_day, part) DO UPDATE
        SET students_counted = EXCLUDED.students_counted, students_absent = EXCLUDED.students_absent,
            version = EXCLUDED.version
        WHERE EXCLUDED.version > kept.version
        """,
        rows,
    )


async def funnel(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """This will count households per district at each step; what each step means stands in measures.py."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        SELECT district,
               count(DISTINCT household_key) FILTER (WHERE step = 'flagged') AS flagged,
               count(DISTINCT household_key) FILTER (WHERE step = 'requested') AS requested,
               count(DISTINCT household_key) FILTER (WHERE step = 'agreed') AS agreed,
               count(DISTINCT household_key) FILTER (WHERE step = 'visited') AS visited,
               count(DISTINCT household_key) FILTER (WHERE step = 'declined') AS declined
        FROM (
            SELECT district, household_key, 'flagged' AS step FROM flag WHERE ever_flagged
            UNION ALL
            SELECT district, household_key, 'requested' FROM request WHERE requested_version IS NOT NULL
            UNION ALL
            SELECT district, household_key, 'agreed' FROM request WHERE agreed_version IS NOT NULL
            UNION ALL
            SELECT district, household_key, 'declined' FROM request
            WHERE declined_version > coalesce(agreed_version, 0)
            UNION ALL
            SELECT district, household_key, 'visited' FROM visit WHERE completed
        ) AS steps
        GROUP BY district ORDER BY district
        """
    )
    return rows


async def newest_event_at(connection: asyncpg.Connection) -> datetime | None:
    """This will tell how recent the funnel is: when the newest event behind it happened."""
    newest: datetime | None = await connection.fetchval(
        """
        SELECT greatest((SELECT max(last_event_at) FROM flag), (SELECT max(last_event_at) FROM request),
                        (SELECT max(last_event_at) FROM visit))
        """
    )
    return newest


async def counts(connection: asyncpg.Connection) -> dict[str, int]:
    """This will count what the projections hold, for reconciliation with the services that own the facts."""
    (row,) = await connection.fetch(
        """
        SELECT (SELECT count(*) FROM flag WHERE level <> 'none') AS students_flagged_now,
               (SELECT count(*) FROM flag WHERE ever_flagged) AS students_ever_flagged,
               (SELECT count(*) FROM request WHERE requested_version IS NOT NULL) AS requests,
               (SELECT count(*) FROM request WHERE withdrawn_version IS NOT NULL) AS requests_withdrawn,
               (SELECT count(*) FROM visit WHERE completed) AS visits_completed,
               (SELECT count(*) FROM visit WHERE NOT completed) AS visits_attempted,
               (SELECT count(*) FROM student_month) AS student_months,
               (SELECT count(*) FROM (SELECT DISTINCT district, school, school_day FROM school_day) AS days)
                   AS school_days,
               (SELECT coalesce(sum(students_counted), 0)::bigint FROM school_day) AS student_days_counted,
               (SELECT coalesce(sum(students_absent), 0)::bigint FROM school_day) AS student_days_absent
        """
    )
    return dict(row)
