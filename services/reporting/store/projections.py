"""Reporting's projections: one upsert per table and batch, newest version or largest value, whatever the order."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.runtime.columns import columns

Rows = Sequence[tuple[Any, ...]]


async def upsert(connection: asyncpg.Connection, statement: str, rows: Rows) -> None:
    """Run a statement whose parameters are the rows' columns, or nothing without rows."""
    if rows:
        await connection.execute(statement, *columns(rows, width=len(rows[0])))


async def keep_flags(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep each student's newest flag of a school year, and when the first one above 'none' was.

    Rows: student_key, school_year, household_key, district, school, grade, level, version, occurred_at, flagged_on.
    """
    await upsert(
        connection,
        """
        INSERT INTO flag AS kept (student_key, school_year, household_key, district, school, grade, level,
                                  ever_flagged, version, last_event_at, first_flagged_at, first_flagged_on)
        SELECT DISTINCT ON (student_key, school_year) student_key, school_year, household_key, district, school, grade,
               level, bool_or(level <> 'none') OVER same, version, max(occurred_at) OVER same,
               min(occurred_at) FILTER (WHERE level <> 'none') OVER same,
               min(flagged_on) FILTER (WHERE level <> 'none') OVER same
        FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                    $8::bigint[], $9::timestamptz[], $10::date[])
            AS f (student_key, school_year, household_key, district, school, grade, level, version, occurred_at,
                  flagged_on)
        WINDOW same AS (PARTITION BY student_key, school_year)
        ORDER BY student_key, school_year, version DESC
        ON CONFLICT (student_key, school_year) DO UPDATE
        SET household_key = CASE WHEN EXCLUDED.version > kept.version
                                 THEN EXCLUDED.household_key ELSE kept.household_key END,
            district = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.district ELSE kept.district END,
            school = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.school ELSE kept.school END,
            grade = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.grade ELSE kept.grade END,
            level = CASE WHEN EXCLUDED.version > kept.version THEN EXCLUDED.level ELSE kept.level END,
            ever_flagged = kept.ever_flagged OR EXCLUDED.ever_flagged,
            version = greatest(kept.version, EXCLUDED.version),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at),
            first_flagged_at = least(kept.first_flagged_at, EXCLUDED.first_flagged_at),
            first_flagged_on = least(kept.first_flagged_on, EXCLUDED.first_flagged_on)
        """,
        rows,
    )


async def keep_requests(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep at which version, and when first, each thing happened to a request; and its newest stage.

    Rows: request_id, household_key, district; requested, agreed, declined and withdrawn version; the moments
    requested, contacted, agreed, scheduled, visited, logged, declined, withdrawn; stage version, stage, closed_because;
    occurred_at. What an event does not tell is None.
    """
    await upsert(
        connection,
        """
        INSERT INTO request AS kept (request_id, household_key, district, requested_version, agreed_version,
                                     declined_version, withdrawn_version, requested_at, contacted_at, agreed_at,
                                     scheduled_at, visited_at, logged_at, declined_at, withdrawn_at,
                                     stage_version, stage, closed_because, stage_at, last_event_at)
        SELECT request_id, household_key, district, max(requested), max(agreed), max(declined), max(withdrawn),
               min(requested_at), min(contacted_at), min(agreed_at), min(scheduled_at), min(visited_at),
               min(logged_at), min(declined_at), min(withdrawn_at), max(stage_version),
               (array_agg(stage ORDER BY stage_version DESC NULLS LAST, occurred_at DESC))[1],
               (array_agg(closed_because ORDER BY stage_version DESC NULLS LAST, occurred_at DESC))[1],
               (array_agg(occurred_at ORDER BY stage_version DESC, occurred_at DESC)
                FILTER (WHERE stage_version IS NOT NULL))[1],
               max(occurred_at)
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                    $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
                    $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::bigint[], $17::text[],
                    $18::text[], $19::timestamptz[])
            AS r (request_id, household_key, district, requested, agreed, declined, withdrawn, requested_at,
                  contacted_at, agreed_at, scheduled_at, visited_at, logged_at, declined_at, withdrawn_at,
                  stage_version, stage, closed_because, occurred_at)
        GROUP BY request_id, household_key, district
        ORDER BY request_id
        ON CONFLICT (request_id) DO UPDATE
        SET requested_version = greatest(kept.requested_version, EXCLUDED.requested_version),
            agreed_version = greatest(kept.agreed_version, EXCLUDED.agreed_version),
            declined_version = greatest(kept.declined_version, EXCLUDED.declined_version),
            withdrawn_version = greatest(kept.withdrawn_version, EXCLUDED.withdrawn_version),
            requested_at = least(kept.requested_at, EXCLUDED.requested_at),
            contacted_at = least(kept.contacted_at, EXCLUDED.contacted_at),
            agreed_at = least(kept.agreed_at, EXCLUDED.agreed_at),
            scheduled_at = least(kept.scheduled_at, EXCLUDED.scheduled_at),
            visited_at = least(kept.visited_at, EXCLUDED.visited_at),
            logged_at = least(kept.logged_at, EXCLUDED.logged_at),
            declined_at = least(kept.declined_at, EXCLUDED.declined_at),
            withdrawn_at = least(kept.withdrawn_at, EXCLUDED.withdrawn_at),
            stage = CASE WHEN newer_stage(EXCLUDED, kept) THEN EXCLUDED.stage ELSE kept.stage END,
            closed_because = CASE WHEN newer_stage(EXCLUDED, kept)
                                  THEN EXCLUDED.closed_because ELSE kept.closed_because END,
            stage_at = CASE WHEN newer_stage(EXCLUDED, kept) THEN EXCLUDED.stage_at ELSE kept.stage_at END,
            stage_version = greatest(kept.stage_version, EXCLUDED.stage_version),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """.replace(
            "newer_stage(EXCLUDED, kept)",
            "(coalesce(EXCLUDED.stage_version, 0), coalesce(EXCLUDED.stage_at, '-infinity'))"
            " > (coalesce(kept.stage_version, 0), coalesce(kept.stage_at, '-infinity'))",
        ),
        rows,
    )


async def keep_logged_visits(connection: asyncpg.Connection, rows: Rows) -> None:
    """Keep which visits were logged, which took place, and when the earliest such log says they began.

    Rows: visit_id, household_key, district, completed, started_at (None unless completed), occurred_at.
    """
    await upsert(
        connection,
        """
        INSERT INTO visit AS kept (visit_id, household_key, district, completed, started_at, logged_at, last_event_at)
        SELECT visit_id, household_key, district, bool_or(completed), min(started_at), min(occurred_at),
               max(occurred_at)
        FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::timestamptz[], $6::timestamptz[])
            AS v (visit_id, household_key, district, completed, started_at, occurred_at)
        GROUP BY visit_id, household_key, district
        ORDER BY visit_id
        ON CONFLICT (visit_id) DO UPDATE
        SET completed = kept.completed OR EXCLUDED.completed,
            started_at = least(kept.started_at, EXCLUDED.started_at),
            logged_at = least(kept.logged_at, EXCLUDED.logged_at),
            last_event_at = greatest(kept.last_event_at, EXCLUDED.last_event_at)
        """,
        rows,
    )
